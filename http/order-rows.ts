/**
 * Orders on the way between node and orders process, on their private ports: one row each, short because there are
 * many. What comes in is checked, so that a wrong one is refused where it arrives and not deep inside.
 */
import { type Order, RELEASE_REASONS } from '../stock/core/words.ts'

export type OrderRow = readonly [
  id: string,
  fareId: string,
  quantity: number,
  buyer: string,
  state: string,
  reason: string | null,
  createdAtMs: number,
  createdSeq: number,
  paidAtMs: number | null,
  releasedAtMs: number | null,
]

export type RowOrder = Omit<Order, 'paidSeq' | 'releasedSeq'>

export function rowOfOrder(order: Omit<RowOrder, 'createdSeq'> & { readonly createdSeq?: number }): OrderRow {
  const { id, fareId, quantity, buyer, state, reason, createdAtMs, createdSeq = 0, paidAtMs, releasedAtMs } = order
  return [id, fareId, quantity, buyer, state, reason, createdAtMs, createdSeq, paidAtMs, releasedAtMs]
}

/** Null when the value is not a list of rows. */
export function ordersOfRows(value: unknown): Order[] | null {
  if (!Array.isArray(value)) return null
  const orders: Order[] = []
  for (const row of value as unknown[]) {
    if (!isRow(row)) return null
    orders.push(orderOf(row))
  }
  return orders
}

function orderOf(row: OrderRow): Order {
  const [id, fareId, quantity, buyer, state, reason, createdAtMs, createdSeq, paidAtMs, releasedAtMs] = row
  return {
    id,
    fareId,
    quantity,
    buyer,
    state: state as Order['state'],
    reason: reason as Order['reason'],
    createdAtMs,
    createdSeq,
    paidAtMs,
    paidSeq: null,
    releasedAtMs,
    releasedSeq: null,
  }
}

function isRow(row: unknown): row is OrderRow {
  if (!Array.isArray(row) || row.length !== 10) return false
  const [id, fareId, quantity, buyer, state, reason, createdAtMs, createdSeq, paidAtMs, releasedAtMs] = row as unknown[]
  return (
    [id, fareId, buyer].every((text) => typeof text === 'string' && text !== '') &&
    [quantity, createdAtMs, createdSeq].every(Number.isSafeInteger) &&
    [paidAtMs, releasedAtMs].every((ms) => ms === null || Number.isSafeInteger(ms)) &&
    (reason === null || RELEASE_REASONS.some((known) => known === reason)) &&
    (state === 'held' || state === 'paid' || state === 'released')
  )
}
