/**
 * Telling the store which fate an order has met; idempotent, forwards only. `settle.lua` is the same in Redis.
 *
 * An order that the store has lost comes back by its fate: one that is paid takes its tickets again, as long as
 * enough remain; one that is released leaves a tombstone, so that it is not sold anew.
 */
import { heldOrder } from './confirm.ts'
import { certificateFault } from './fence.ts'
import { noteReturn } from './heard.ts'
import { BUYER_ORDERS_KEPT, emit, type FareRecord, type SaleRecord, stateAt, versionOf } from './sale-record.ts'
import type { StoreContext } from './sale-record.ts'
import type { Order, Version } from './words.ts'
import type { KnownOrder, SettleItem, SettleReply, Stopped } from '../port.ts'

type SettleResult = SettleReply['results'][number]

export function settle(
  record: SaleRecord | undefined,
  items: readonly SettleItem[],
  seen: Version,
  context: StoreContext,
): SettleReply | Stopped {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const before = new Map([...record.fares].map(([fareId, fare]) => [fareId, { ...fare }]))
  const settling = new SettlingBatch(record, items)
  const results = items.map((item) => settling.settle(item))
  if (settling.settled.length > 0) {
    record.seq = settling.seq
    const now = { seq: settling.seq, atMs: context.nowMs }
    for (const [fareId, fare] of record.fares) noteReturn(record, before.get(fareId) ?? fare, fare, now)
    const made = settling.broughtBack.map((item) => heldOrder(item, context.nowMs, settling.seq))
    emit(record, { made, settled: settling.settled })
  }
  return {
    outcome: 'settled',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    results,
  }
}

class SettlingBatch {
  readonly seq: number
  /** Ids, once per change. */
  readonly settled: string[] = []
  readonly broughtBack: { orderId: string; fareId: string; quantity: number; buyer: string }[] = []
  readonly #record: SaleRecord
  readonly #known: ReadonlyMap<string, KnownOrder>

  constructor(record: SaleRecord, items: readonly SettleItem[]) {
    this.#record = record
    this.seq = record.seq + 1
    // The first word on an order counts.
    this.#known = new Map(
      items.toReversed().flatMap(({ orderId, known }) => (known === undefined ? [] : [[orderId, known] as const])),
    )
  }

  settle(item: SettleItem): SettleResult {
    const order = this.#record.orders.get(item.orderId)
    const result = order === undefined ? this.#bringBack(item) : this.#move(order, item)
    if (result === 'settled') this.settled.push(item.orderId)
    return result
  }

  #move(order: Order, item: SettleItem): SettleResult {
    const result = judgeFate(order, item)
    if (result !== 'settled') return result
    const fare = this.#record.fares.get(order.fareId)
    const from = order.state === 'paid' ? 'paid' : 'held'
    // Its counters were changed by hand; the audit says so.
    if (fare === undefined || fare[from] < order.quantity) return 'unlawful'
    this.#count(fare, from, -order.quantity)
    this.#count(fare, item.fate.state === 'paid' ? 'paid' : 'remaining', order.quantity)
    this.#record.orders.set(order.id, settledOrder(order, item, this.seq))
    const buyer = this.#record.buyers.get(order.buyer)
    if (item.fate.state === 'released' && buyer !== undefined) buyer.tickets -= order.quantity
    return result
  }

  #bringBack(item: SettleItem): SettleResult {
    const { orderId, fate } = item
    const known = this.#known.get(orderId)
    const fare = this.#record.fares.get(known?.fareId ?? '')
    if (known === undefined || fare === undefined) return 'unknown_order'
    const buyer = this.#record.buyers.get(known.buyer) ?? { tickets: 0, orderIds: [] }
    // The record alone was removed, by hand: the counters still have it.
    if (buyer.orderIds.includes(orderId)) return 'unknown_order'
    if (fate.state === 'paid') {
      if (fare.remaining < known.quantity) return 'unknown_order'
      this.#count(fare, 'remaining', -known.quantity)
      this.#count(fare, 'paid', known.quantity)
      buyer.tickets += known.quantity
    }
    buyer.orderIds = [...buyer.orderIds, orderId].slice(-BUYER_ORDERS_KEPT)
    this.#record.buyers.set(known.buyer, buyer)
    // Made at no seq of this store, by none of its nodes.
    const lost = heldOrder({ orderId, ...known }, known.createdAtMs, 0)
    this.#record.orders.set(orderId, settledOrder(lost, item, this.seq))
    const { fareId, quantity } = known
    this.broughtBack.push({ orderId, fareId, quantity, buyer: known.buyer })
    return 'settled'
  }

  #count(fare: FareRecord, counter: 'remaining' | 'held' | 'paid', by: number): void {
    fare[counter] += by
    fare.seq = this.seq
  }
}

function settledOrder(order: Order, { fate, atMs }: SettleItem, seq: number): Order {
  if (fate.state === 'paid') return { ...order, state: 'paid', paidAtMs: atMs, paidSeq: seq }
  return { ...order, state: 'released', reason: fate.reason, releasedAtMs: atMs, releasedSeq: seq }
}

/** held to paid, held to released, paid to released as refunded; nothing else moves. */
function judgeFate(order: Order, { fate }: SettleItem): SettleResult {
  if (order.state === fate.state) {
    return fate.state === 'released' && order.reason !== fate.reason ? 'conflict' : 'already'
  }
  if (order.state === 'released') return 'conflict'
  if (order.state === 'paid') return fate.state === 'released' && fate.reason === 'refunded' ? 'settled' : 'conflict'
  return 'settled'
}
