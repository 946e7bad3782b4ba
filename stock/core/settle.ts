/** Telling the store which fate an order has met; idempotent, forwards only. `settle.lua` is the same in Redis. */
import { certificateFault } from './fence.ts'
import { emit, type SaleRecord, stateAt, type StoreContext, versionOf } from './sale-record.ts'
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
  const seqIfSettled = record.seq + 1
  const results = items.map((item) => settleOne(record, item, seqIfSettled))
  if (results.includes('settled')) {
    record.seq = seqIfSettled
    emit(record, [])
  }
  return {
    outcome: 'settled',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    results,
  }
}

function settleOne(record: SaleRecord, item: SettleItem, seq: number): SettleResult {
  const order = record.orders.get(item.orderId)
  if (order === undefined) return 'unknown_order'
  const judged = judgeFate(order, item)
  if (judged !== 'settled') return judged

  const fare = record.fares.get(order.fareId)
  if (fare === undefined) throw new Error(`order ${order.id} is of fare ${order.fareId}, which is not there`)
  fare[order.state === 'paid' ? 'paid' : 'held'] -= order.quantity
  fare.seq = seq
  if (item.fate.state === 'paid') {
    fare.paid += order.quantity
    record.orders.set(order.id, { ...order, state: 'paid', paidAtMs: item.atMs, paidSeq: seq })
    return 'settled'
  }
  fare.remaining += order.quantity
  const { reason } = item.fate
  record.orders.set(order.id, { ...order, state: 'released', reason, releasedAtMs: item.atMs, releasedSeq: seq })
  const buyer = record.buyers.get(order.buyer)
  if (buyer !== undefined) buyer.tickets -= order.quantity
  return 'settled'
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
