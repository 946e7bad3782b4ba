/** An order for the support desk: with its buyer, which the public answer leaves out. */
import type { ReadOrder } from '../order-reader.ts'

export function orderView(order: ReadOrder, nowMs: number) {
  const { id, saleId, fareId, buyer, quantity, state, reason, unitPrice } = order
  return {
    id,
    saleId,
    fareId,
    buyer,
    quantity,
    state,
    reason,
    createdAt: timeOf(order.createdAtMs),
    holdExpiresAt: timeOf(order.holdExpiresAtMs),
    paidAt: timeOrNull(order.paidAtMs),
    releasedAt: timeOrNull(order.releasedAtMs),
    unitPrice,
    total: { amount: unitPrice.amount * quantity, currency: unitPrice.currency },
    serverTime: timeOf(nowMs),
  }
}
export type OrderView = ReturnType<typeof orderView>

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}

function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeOf(ms)
}
