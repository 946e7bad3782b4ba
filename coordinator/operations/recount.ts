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
import { Findings } from './findings.ts'

/** An order's record, as far as it is counted and compared. */
export type CountedOrder = Pick<
  Order,
  'id' | 'fareId' | 'quantity' | 'buyer' | 'state' | 'reason' | 'createdSeq' | 'paidSeq' | 'releasedSeq'
>

export interface Problem {
  /** Which law is broken, lower snake case. */
  readonly rule: string
  /** What shows it: names the counter, order, buyer or node, and the numbers. */
  readonly witness: string
}

/** Of an order that the store had lost, and that came back when it met its fate: it was made by none of its nodes. */
const CAME_BACK_SEQ = 0

/** What an order was at `seq`; null when it was not there yet. */
export function stateAsOf(order: CountedOrder, seq: number): 'held' | 'paid' | 'released' | null {
  const madeSeq = order.createdSeq === CAME_BACK_SEQ ? (order.paidSeq ?? order.releasedSeq ?? 0) : order.createdSeq
  if (madeSeq > seq) return null
  if (order.releasedSeq !== null && order.releasedSeq <= seq) return 'released'
  return order.paidSeq !== null && order.paidSeq <= seq ? 'paid' : 'held'
}

export interface FareCount {
  held: number
  paid: number
}

/** Adds up a sale's orders and keeps none of them. */
export class Recount {
  readonly seq: number
  readonly fares: ReadonlyMap<string, FareCount>
  readonly findings = new Findings()
  /** Tickets ever confirmed as of the seq, released ones included. */
  confirmed = 0
  /** The highest seq in any record. */
  seqMax = 0

  constructor(seq: number, fareIds: readonly string[]) {
    this.seq = seq
    this.fares = new Map(fareIds.map((id) => [id, { held: 0, paid: 0 }]))
  }

  /**
   * Takes in each order once, however often the scan brought it: every copy of one must be in the same call. Returns
   * them by id.
   */
  add(orders: readonly CountedOrder[]): ReadonlyMap<string, CountedOrder> {
    const records = new Map<string, CountedOrder>()
    for (const order of orders) {
      if (records.has(order.id)) continue
      records.set(order.id, order)
      this.#addOne(order)
    }
    return records
  }

  #addOne(order: CountedOrder): void {
    for (const fault of faultsOf(order))
      this.findings.add({ rule: 'order_record', witness: `order ${order.id}: ${fault}` })
    this.seqMax = Math.max(this.seqMax, order.createdSeq, order.paidSeq ?? 0, order.releasedSeq ?? 0)
    const state = stateAsOf(order, this.seq)
    if (state !== null && order.createdSeq !== CAME_BACK_SEQ) this.confirmed += order.quantity
    const fare = this.fares.get(order.fareId)
    if (fare === undefined) {
      this.findings.add({ rule: 'order_record', witness: `order ${order.id}: no fare ${order.fareId} in this sale` })
    } else if (state === 'held' || state === 'paid') fare[state] += order.quantity
  }
}

/** Whether the record can have been made by the scripts at all. */
export function faultsOf(order: CountedOrder): string[] {
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
