/** Telling the store which fate an order has met; idempotent, forwards only. `settle.lua` is the same in Redis. */
import { certificateFault } from './fence.ts'
import { noteReturn } from './heard.ts'
import { emit, type FareRecord, type SaleRecord, stateAt, type StoreContext, versionOf } from './sale-record.ts'
import type { Order, Version } from './words.ts'
import type { SettleItem, SettleReply, Stopped } from '../port.ts'

type SettleResult = SettleReply['results'][number]

export function settle(
  record: SaleRecord | undefined,
  items: readonly SettleItem[],
  seen: Version,
  context: StoreContext,
): SettleReply | Stopped {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const seq = record.seq + 1
  const settled = new Map<string, Order>()
  const moves: Move[] = []
  const results = items.map((item): SettleResult => {
    const order = settled.get(item.orderId) ?? record.orders.get(item.orderId)
    if (order === undefined) return 'unknown_order'
    const result = judgeFate(order, item)
    if (result !== 'settled') return result
    const after = settledOrder(order, item, seq)
    settled.set(order.id, after)
    moves.push({ before: order, after })
    return 'settled'
  })
  const fares = faresAfter(record, moves, seq)
  if (moves.length > 0) {
    for (const order of settled.values()) record.orders.set(order.id, order)
    for (const [fareId, fare] of fares) {
      noteReturn(record, record.fares.get(fareId) ?? fare, fare, { seq, atMs: context.nowMs })
      record.fares.set(fareId, fare)
    }
    for (const { after } of moves) if (after.state === 'released') giveBackToBuyer(record, after)
    record.seq = seq
    emit(record, { settled: moves.map(({ after }) => after.id) })
  }
  return {
    outcome: 'settled',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    results,
  }
}

interface Move {
  readonly before: Order
  readonly after: Order
}

function settledOrder(order: Order, { fate, atMs }: SettleItem, seq: number): Order {
  if (fate.state === 'paid') return { ...order, state: 'paid', paidAtMs: atMs, paidSeq: seq }
  return { ...order, state: 'released', reason: fate.reason, releasedAtMs: atMs, releasedSeq: seq }
}

/** The counters of the fares touched, after all moves; throws before anything is written if one went below 0. */
function faresAfter(record: SaleRecord, moves: readonly Move[], seq: number): Map<string, FareRecord> {
  const fares = new Map<string, FareRecord>()
  for (const { before, after } of moves) {
    const present = fares.get(before.fareId) ?? record.fares.get(before.fareId)
    if (present === undefined) throw new Error(`order ${before.id} is of fare ${before.fareId}, which is not there`)
    const fare = { ...present, seq }
    fare[before.state === 'paid' ? 'paid' : 'held'] -= before.quantity
    fare[after.state === 'paid' ? 'paid' : 'remaining'] += before.quantity
    fares.set(before.fareId, fare)
  }
  for (const [fareId, { held, paid }] of fares) {
    if (held < 0 || paid < 0) throw new Error(`fare ${fareId}: held ${held}, paid ${paid}`)
  }
  return fares
}

function giveBackToBuyer(record: SaleRecord, order: Order): void {
  const buyer = record.buyers.get(order.buyer)
  if (buyer !== undefined) buyer.tickets -= order.quantity
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
