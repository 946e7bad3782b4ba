/**
 * Counting orders as of an instant, from records read one by one later. Pure.
 *
 * The counters are read together with their seq. The records are paged through while the sale goes on, so each may
 * by then have been made, paid or released after that seq. Every step of an order carries the seq of the change
 * that made it, so each record tells what it was at that seq:
 *
 *   1. audit reads counters at seq 100: held 7
 *   2. order X is made at seq 101, order Y (made at 60) is paid at 102
 *   3. audit reads X: not yet there at 100; and Y: held at 100
 */
import type { Order } from '../../stock/core/words.ts'

export interface Problem {
  /** Which law is broken, lower snake case. */
  readonly rule: string
  /** What shows it: names the counter, order, buyer or node, and the numbers. */
  readonly witness: string
}

/** Of an order that the store had lost, and that came back when it met its fate: it was made by none of its nodes. */
const CAME_BACK_SEQ = 0

/** What an order was at `seq`; null when it was not there yet. */
export function stateAsOf(order: Order, seq: number): 'held' | 'paid' | 'released' | null {
  const madeSeq = order.createdSeq === CAME_BACK_SEQ ? (order.paidSeq ?? order.releasedSeq ?? 0) : order.createdSeq
  if (madeSeq > seq) return null
  if (order.releasedSeq !== null && order.releasedSeq <= seq) return 'released'
  return order.paidSeq !== null && order.paidSeq <= seq ? 'paid' : 'held'
}

export interface BuyerCount {
  /** Tickets counted against the limit as of the seq. */
  tickets: number
  /** The same by the records as they were read. */
  ticketsNow: number
  readonly orderIds: string[]
}

export interface FareCount {
  held: number
  paid: number
}

/** Takes in each order once, however often the scan brings it. */
export class Recount {
  readonly seq: number
  readonly fares: ReadonlyMap<string, FareCount>
  readonly buyers = new Map<string, BuyerCount>()
  readonly problems: Problem[] = []
  /** Tickets ever confirmed as of the seq, released ones included. */
  confirmed = 0
  /** The highest seq in any record. */
  seqMax = 0
  /** Every record, as it was read. */
  readonly records = new Map<string, Order>()

  constructor(seq: number, fareIds: readonly string[]) {
    this.seq = seq
    this.fares = new Map(fareIds.map((id) => [id, { held: 0, paid: 0 }]))
  }

  add(order: Order): void {
    if (this.records.has(order.id)) return
    this.records.set(order.id, order)
    for (const fault of faultsOf(order))
      this.problems.push({ rule: 'order_record', witness: `order ${order.id}: ${fault}` })
    this.seqMax = Math.max(this.seqMax, order.createdSeq, order.paidSeq ?? 0, order.releasedSeq ?? 0)
    const state = stateAsOf(order, this.seq)
    if (state !== null && order.createdSeq !== CAME_BACK_SEQ) this.confirmed += order.quantity
    this.#countFare(order, state)
    this.#countBuyer(order, state)
  }

  #countFare(order: Order, state: ReturnType<typeof stateAsOf>): void {
    const fare = this.fares.get(order.fareId)
    if (fare === undefined) {
      this.problems.push({ rule: 'order_record', witness: `order ${order.id}: no fare ${order.fareId} in this sale` })
    } else if (state === 'held' || state === 'paid') fare[state] += order.quantity
  }

  #countBuyer(order: Order, state: ReturnType<typeof stateAsOf>): void {
    let buyer = this.buyers.get(order.buyer)
    if (buyer === undefined) {
      buyer = { tickets: 0, ticketsNow: 0, orderIds: [] }
      this.buyers.set(order.buyer, buyer)
    }
    buyer.orderIds.push(order.id)
    if (state === 'held' || state === 'paid') buyer.tickets += order.quantity
    if (order.state !== 'released') buyer.ticketsNow += order.quantity
  }
}

/** Whether the record can have been made by the scripts at all. */
export function faultsOf(order: Order): string[] {
  const faults: string[] = []
  if (!Number.isSafeInteger(order.quantity) || order.quantity < 1) faults.push(`quantity ${order.quantity}`)
  if (!Number.isSafeInteger(order.createdSeq) || order.createdSeq < CAME_BACK_SEQ)
    faults.push(`made at seq ${order.createdSeq}`)
  if (order.state === 'paid' && order.paidSeq === null) faults.push('paid, but at no seq')
  if (order.state === 'held' && order.paidSeq !== null) faults.push(`held, but paid at seq ${order.paidSeq}`)
  if ((order.state === 'released') !== (order.releasedSeq !== null)) {
    faults.push(`${order.state}, but released at ${order.releasedSeq === null ? 'no seq' : `seq ${order.releasedSeq}`}`)
  }
  if ((order.state === 'released') !== (order.reason !== null)) {
    faults.push(`${order.state}, but with ${order.reason === null ? 'no reason' : `the reason ${order.reason}`}`)
  }
  if (order.state === 'held' && order.createdSeq === CAME_BACK_SEQ) faults.push('held, but made at no seq')
  const first = order.paidSeq ?? order.releasedSeq
  if (first !== null && first <= order.createdSeq)
    faults.push(`made at seq ${order.createdSeq}, changed at seq ${first}`)
  if (order.paidSeq !== null && order.releasedSeq !== null && order.releasedSeq <= order.paidSeq) {
    faults.push(`paid at seq ${order.paidSeq}, released at seq ${order.releasedSeq}`)
  }
  return faults
}
