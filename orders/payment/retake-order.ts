/**
 * Buys again for money that came too late: a new order, through the same confirm and under the same limit as any buyer.
 *
 * Confirm takes nobody who has not joined the sale, and gives each joiner an epoch that fences whatever it sent before.
 * So the orders process joins as a member of weight 0, which takes no share from the nodes, once for every try: a
 * copy of an earlier try that is still under way is fenced before its repeat is judged, and the order's id, which
 * follows from the charge, makes the repeat find what an earlier try has made. Late money is rare; the extra call is
 * not felt (decision 0017).
 */
import { createHash } from 'node:crypto'
import { orderIds } from '../../stock/order-id.ts'
import type { Order, QuotaRules, SaleDefinition, Version } from '../../stock/core/words.ts'
import type { ItemStatus } from '../../stock/core/status.ts'
import type { SaleStore } from '../../stock/port.ts'

export interface RetakeWish {
  readonly definition: SaleDefinition
  readonly orderId: string
  readonly buyer: string
  readonly fareId: string
  readonly quantity: number
  /** The highest version of the sale that the ledger has seen: a store behind it is not the store it was. */
  readonly seen: Version
}

export type RetakeOutcome =
  | { readonly outcome: 'held'; readonly order: Order; readonly storeEra: number }
  | { readonly outcome: 'refused'; readonly why: ItemStatus }
  /** Not now: the sale is being recovered, or somebody fenced us. */
  | { readonly outcome: 'again' }

/** Rejects with `StoreError`; then, too, the same wish may be tried again. */
export type RetakeOrder = (wish: RetakeWish) => Promise<RetakeOutcome>

/** How long a try may be under way in the store. */
const TRY_MS = 5000
/** No node's id holds a dot, so that no operator can give a node this name. */
const MEMBER_PREFIX = 'retake.'

export function retakeThrough(sales: SaleStore, ordersId: string, rules: QuotaRules): RetakeOrder {
  const member = { id: `${MEMBER_PREFIX}${ordersId}`, weight: 0 }
  return async ({ definition, orderId, buyer, fareId, quantity, seen }) => {
    const joined = await sales.join(definition.id, member, seen, 0, rules)
    if (joined.outcome !== 'joined') return { outcome: 'again' }
    const { version, epoch, nowMs } = joined
    const caller = { nodeId: member.id, epoch, seen: version, lastWriteSeq: version.seq }
    const item = { orderId, buyer, fareId, quantity, deadlineMs: nowMs + TRY_MS }
    const reply = await sales.confirm(definition.id, caller, [item], rules)
    if (reply.outcome !== 'judged') return { outcome: 'again' }
    const verdict = reply.verdicts[0]
    if (verdict?.order !== undefined) return { outcome: 'held', order: verdict.order, storeEra: reply.version.era }
    if (verdict === undefined || verdict.status === 'too_late') return { outcome: 'again' }
    return { outcome: 'refused', why: verdict.status }
  }
}

/** The same charge gives the same order, whoever tries and how often. A dot is in no Idempotency-Key. */
export function retakeOrderId({ id, orderIdSecret }: SaleDefinition, buyer: string, chargeId: string): string {
  // Hashed, because a provider's ids may be longer than a key.
  const key = `retake.${createHash('sha256').update(chargeId).digest('base64url')}`
  return orderIds(Buffer.from(orderIdSecret, 'hex'))(id, buyer, key)
}
