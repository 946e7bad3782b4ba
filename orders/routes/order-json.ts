/** An order as buyers see it. */
import type { Static } from 'typebox'
import { isoTime } from '../../http/iso-time.ts'
import type { OrderSchema } from '../../http/schemas.ts'
import type { ReadOrder } from '../order-reader.ts'

export function orderJson(order: ReadOrder, serverTimeMs: number): string {
  const { id, saleId, fareId, quantity, state, reason, paidAtMs, unitPrice } = order
  const { amount, currency } = unitPrice
  return JSON.stringify({
    id,
    saleId,
    fareId,
    quantity,
    state,
    reason,
    createdAt: isoTime(order.createdAtMs),
    holdExpiresAt: isoTime(order.holdExpiresAtMs),
    paidAt: paidAtMs === null ? null : isoTime(paidAtMs),
    unitPrice: { amount, currency },
    total: { amount: amount * quantity, currency },
    serverTime: isoTime(serverTimeMs),
  } satisfies Omit<Static<typeof OrderSchema>, 'reason'> & Pick<ReadOrder, 'reason'>)
}
