/**
 * The atomic step that turns deductions into orders. One batch, judged item by item, each with the effects of
 * the items before it. {@link ITEM_STATUSES} is the order of judgement. `confirm.lua` is the same in Redis.
 */
import { callerFault } from './fence.ts'
import { unheardOf } from './heard.ts'
import {
  BUYER_ORDERS_KEPT,
  conservationFault,
  emit,
  levelFor,
  type NodeRecord,
  type SaleRecord,
  stateAt,
  type StoreContext,
  versionOf,
} from './sale-record.ts'
import type { ItemStatus } from './status.ts'
import type { FareLevel, Order, QuotaRules, SaleState } from './words.ts'
import type { Caller, ConfirmItem, ConfirmReply, ConfirmVerdict, Stopped } from '../port.ts'

export function confirm(
  record: SaleRecord | undefined,
  caller: Caller,
  items: readonly ConfirmItem[],
  rules: QuotaRules,
  context: StoreContext,
): ConfirmReply | Stopped {
  const stopped = callerFault(record, caller, context)
  const node = record?.nodes.get(caller.nodeId)
  if (stopped !== null || record === undefined || node === undefined) return stopped ?? { outcome: 'recovering' }

  const state = stateAt(record, context.nowMs)
  const seqIfHeld = record.seq + 1
  const made: Order[] = []
  const verdicts = items.map((item): ConfirmVerdict => {
    const verdict = judge(record, item, state, context.nowMs)
    if (verdict.status !== 'held') return verdict
    const order = hold(record, node, item, seqIfHeld, context.nowMs)
    made.push(order)
    return { status: 'held', order }
  })
  if (made.length > 0) {
    record.seq = seqIfHeld
    node.lastWriteSeq = seqIfHeld
    node.lastSeenMs = context.nowMs
    emit(record, { made })
  }
  return {
    outcome: 'judged',
    version: versionOf(record),
    nowMs: context.nowMs,
    state,
    verdicts,
    fares: levelsOfItems(record, items, node.weight, rules),
    unheard: unheardOf(record, caller.nodeId, new Set(items.map((item) => item.fareId)), context),
  }
}

function judge(record: SaleRecord, item: ConfirmItem, state: SaleState, nowMs: number): ConfirmVerdict {
  const fare = record.fares.get(item.fareId)
  if (fare === undefined) return { status: 'no_such_fare' }
  const before = record.orders.get(item.orderId)
  if (before !== undefined) {
    const same = before.fareId === item.fareId && before.quantity === item.quantity
    return same ? { status: 'replayed', order: before } : { status: 'key_reused' }
  }
  const { limitPerBuyer } = record.definition
  if (item.quantity < 1 || item.quantity > limitPerBuyer) return { status: 'bad_quantity' }
  if (state !== 'open') return { status: statusOfState(state) }
  if (nowMs > item.deadlineMs) return { status: 'too_late' }
  if (conservationFault(item.fareId, fare) !== null) return { status: 'unlawful' }
  const buyerTickets = record.buyers.get(item.buyer)?.tickets ?? 0
  if (buyerTickets + item.quantity > limitPerBuyer) return { status: 'limit_reached', buyerTickets }
  if (fare.remaining >= item.quantity) return { status: 'held' }
  if (fare.remaining > 0) return { status: 'not_enough' }
  return { status: fare.held > 0 ? 'all_held' : 'sold_out' }
}

function statusOfState(state: Exclude<SaleState, 'open'>): ItemStatus {
  return state === 'paused' || state === 'closed' ? state : 'not_open'
}

function hold(record: SaleRecord, node: NodeRecord, item: ConfirmItem, seq: number, nowMs: number): Order {
  const order = heldOrder(item, nowMs, seq)
  record.orders.set(order.id, order)
  const fare = record.fares.get(item.fareId)
  if (fare === undefined) throw new Error(`fare ${item.fareId} was judged and is not there`)
  fare.remaining -= item.quantity
  fare.held += item.quantity
  fare.seq = seq
  node.confirmed += item.quantity
  const buyer = record.buyers.get(item.buyer) ?? { tickets: 0, orderIds: [] }
  buyer.tickets += item.quantity
  buyer.orderIds = [...buyer.orderIds, order.id].slice(-BUYER_ORDERS_KEPT)
  record.buyers.set(item.buyer, buyer)
  return order
}

/** The order that an item becomes when it is held. */
export function heldOrder(item: Omit<ConfirmItem, 'deadlineMs'>, nowMs: number, seq: number): Order {
  return {
    id: item.orderId,
    fareId: item.fareId,
    quantity: item.quantity,
    buyer: item.buyer,
    state: 'held',
    reason: null,
    createdAtMs: nowMs,
    createdSeq: seq,
    paidAtMs: null,
    paidSeq: null,
    releasedAtMs: null,
    releasedSeq: null,
  }
}

function levelsOfItems(
  record: SaleRecord,
  items: readonly ConfirmItem[],
  weight: number,
  rules: QuotaRules,
): FareLevel[] {
  const named = new Set(items.map((item) => item.fareId))
  return [...named].map((fareId) => levelFor(record, fareId, weight, rules)).filter((level) => level !== null)
}
