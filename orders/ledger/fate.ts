/**
 * Which fate an order may meet. Held becomes paid or released; paid becomes released only as refunded; released is
 * final. A deadline has passed only when both the ledger's and the store's clock say so: of two clocks one may be wrong,
 * and neither a payment in time nor a hold that still runs may be lost to it.
 */
import type { Order } from '../../stock/core/words.ts'
import type { Decision, DecisionResult, Fate, LedgerOrder } from './ledger.ts'

export interface Clocks {
  readonly ledgerNowMs: number
  /** Null when the store has not been heard. */
  readonly storeNowMs: number | null
}

/** The moment up to which holds have lapsed by both clocks. */
export function lapsedUpToMs({ ledgerNowMs, storeNowMs }: Clocks): number {
  return storeNowMs === null ? 0 : Math.min(ledgerNowMs, storeNowMs)
}

/**
 * Judges one after the other, each with what those before it did and by clocks of its own where it has some; `orders` is
 * changed accordingly.
 */
export function decideAll(
  orders: Map<string, LedgerOrder>,
  decisions: readonly (Decision & { readonly clocks?: Clocks })[],
  commonClocks: Clocks,
): { readonly results: readonly DecisionResult[]; readonly changed: ReadonlySet<string> } {
  const changed = new Set<string>()
  const results = decisions.map(({ orderId, fate, clocks = commonClocks }): DecisionResult => {
    const order = orders.get(orderId)
    if (order === undefined) return { outcome: 'no_such_order', order: null }
    const outcome = judgeFate(order, fate, clocks)
    if (outcome !== 'decided') return { outcome, order }
    const after = withFate(order, fate, clocks.ledgerNowMs)
    orders.set(orderId, after)
    changed.add(orderId)
    return { outcome, order: after }
  })
  return { results, changed }
}

export function judgeFate(order: LedgerOrder, fate: Fate, clocks: Clocks): DecisionResult['outcome'] {
  const reason = fate.state === 'released' ? fate.reason : null
  if (order.state === fate.state && order.reason === reason) return 'already'
  if (order.state === 'released') return 'refused'
  if (reason === 'refunded') return order.state === 'paid' ? 'decided' : 'refused'
  if (order.state === 'paid') return 'refused'
  const hasLapsed = order.holdExpiresAtMs <= lapsedUpToMs(clocks)
  if (fate.state === 'paid') return hasLapsed ? 'too_late' : 'decided'
  return reason === 'expired' && !hasLapsed ? 'too_early' : 'decided'
}

export function withFate(order: LedgerOrder, fate: Fate, atMs: number): LedgerOrder {
  if (fate.state === 'paid') return { ...order, state: 'paid', paidAtMs: atMs, isSettled: false }
  return { ...order, state: 'released', reason: fate.reason, releasedAtMs: atMs, isSettled: false }
}

/**
 * What an order becomes when the store's record of it is read again, or null when nothing changes. The further state
 * counts: the store can only be ahead when the ledger lost what it had committed, and behind until it is settled or when
 * it was restored from an older copy.
 */
export function reconciled(known: LedgerOrder, record: Order): LedgerOrder | null {
  const isSame = known.state === record.state && known.reason === record.reason
  if (isSame) return known.isSettled ? null : { ...known, isSettled: true }
  if (mayFollow(known, record)) {
    const { state, reason, paidAtMs, releasedAtMs } = record
    return { ...known, state, reason, paidAtMs, releasedAtMs, isSettled: true }
  }
  return known.isSettled ? { ...known, isSettled: false } : null
}

function mayFollow(known: LedgerOrder, record: Order): boolean {
  if (known.state === 'held') return true
  return known.state === 'paid' && record.state === 'released' && record.reason === 'refunded'
}
