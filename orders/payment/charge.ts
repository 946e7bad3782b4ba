/**
 * What becomes of money: pure rules, so that the books in SQL only carry out what stands here.
 *
 * A charge (one taking of money) ends `kept` for exactly one paid order, or `refunded`. On its way it may be
 * - `retaking`: it came after the hold had lapsed; a new order is being bought with it
 * - `refunding`: it goes back; the provider is asked until it is certain
 */
import type { DecisionResult } from '../ledger/ledger.ts'

export type ChargeState = 'kept' | 'retaking' | 'refunding' | 'refunded'
export type LatePayment = 'retake' | 'refund'

/** Why money goes back. */
export type RefundReason =
  /** The hold had lapsed. */
  | 'late'
  /** The hold had lapsed, and no new tickets could be had. */
  | 'retake_refused'
  /** The buyer had cancelled. */
  | 'cancelled'
  /** The order was paid already. */
  | 'second_payment'
  /** The tickets could not be given: the order had been released as `conflict` or `refunded`. */
  | 'released'
  /** The operator gave the order back. */
  | 'operator'
  /** Decided at the provider, not here. */
  | 'provider'

export type ChargeFate =
  | { readonly state: 'kept' }
  | { readonly state: 'retaking' }
  | { readonly state: 'refunding'; readonly reason: RefundReason }

/**
 * The fate of money that has just come in, by what the ledger said to paying the order with it. `too_late` means that
 * the order still stands as held and nobody has swept it yet; the caller releases it.
 */
export function fateOfMoney({ outcome, order }: DecisionResult, latePayment: LatePayment): ChargeFate {
  if (outcome === 'decided') return { state: 'kept' }
  if (outcome === 'already') return { state: 'refunding', reason: 'second_payment' }
  const hasLapsed = outcome === 'too_late' || order?.reason === 'expired'
  if (!hasLapsed) return { state: 'refunding', reason: order?.reason === 'cancelled' ? 'cancelled' : 'released' }
  return latePayment === 'retake' ? { state: 'retaking' } : { state: 'refunding', reason: 'late' }
}

/** The fate of late money after its new order was tried: kept for that order or given back, never tried again. */
export function fateOfRetake({ outcome }: Pick<DecisionResult, 'outcome'>): ChargeFate {
  return outcome === 'decided' ? { state: 'kept' } : { state: 'refunding', reason: 'retake_refused' }
}
