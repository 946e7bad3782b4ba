/**
 * The domain's words as types. One word, one meaning, here and in metrics, API and docs.
 *
 * Times are milliseconds of the store's clock since 1970 (`Ms` last in the name); money is in whole minor units;
 * ticket counts are whole numbers.
 */

export const SALE_STATES = ['draft', 'scheduled', 'open', 'paused', 'closed'] as const
/**
 * - `draft`: made, not shown to buyers, opens by hand
 * - `scheduled`: shown, opens by itself at `opensAtMs`
 * - `open`: sells
 * - `paused`: sells nothing until opened again
 * - `closed`: sells nothing any more; held orders may still be paid
 */
export type SaleState = (typeof SALE_STATES)[number]

export type OrderState = 'held' | 'paid' | 'released'
export const RELEASE_REASONS = ['expired', 'cancelled', 'refunded', 'conflict'] as const
export type ReleaseReason = (typeof RELEASE_REASONS)[number]

export interface Price {
  /** Whole minor units, for example cents. */
  readonly amount: number
  /** ISO 4217 code. */
  readonly currency: string
}

export interface FareDefinition {
  readonly id: string
  readonly name: string
  readonly price: Price
  /** Tickets of this fare at creation. The present stock is in {@link FareCounters}. */
  readonly stock: number
}

/** What an operator wrote into the sale file, plus the order-id secret; never changes after creation. */
export interface SaleDefinition {
  readonly id: string
  readonly name: string
  readonly opensAtMs: number | null
  readonly closesAtMs: number | null
  readonly limitPerBuyer: number
  readonly holdMs: number
  readonly fares: readonly FareDefinition[]
  /** 32 random bytes, hex. Keys the order ids; never rotated, never shown. */
  readonly orderIdSecret: string
}

/**
 * The one version of everything in a sale: `era` numbers the certified lives of the store, `seq` the changes.
 * Compared as a pair, era first.
 */
export interface Version {
  readonly era: number
  readonly seq: number
}

export const VERSION_ZERO: Version = { era: 0, seq: 0 }

/** Negative, zero or positive, like a sort comparator: era first, then seq. */
export function compareVersions(a: Version, b: Version): number {
  return a.era - b.era || a.seq - b.seq
}

export interface FareCounters {
  readonly fareId: string
  readonly stock: number
  /** Tickets that nobody holds. */
  readonly remaining: number
  readonly held: number
  readonly paid: number
}

/** A fare as a reply shows it to one node: counters and how many tickets that node may have in flight. */
export interface FareLevel extends FareCounters {
  /** A level, not a sum: replaces whatever the node knew before, by (era, seq). */
  readonly allowance: number
  /** seq of the last change of the counters. */
  readonly changedSeq: number
}

export interface Order {
  readonly id: string
  readonly fareId: string
  readonly quantity: number
  readonly buyer: string
  readonly state: OrderState
  readonly reason: ReleaseReason | null
  readonly createdAtMs: number
  readonly createdSeq: number
  readonly paidAtMs: number | null
  readonly paidSeq: number | null
  readonly releasedAtMs: number | null
  readonly releasedSeq: number | null
}

/**
 * Buffer on top of a fair share: a whole number of tickets, or a percentage of the node's present fair share,
 * rounded up, at least 1.
 */
export type BufferRule = { readonly tickets: number } | { readonly percent: number }

/** Settings on which the whole cluster must agree and which the scripts need. */
export interface QuotaRules {
  readonly buffer: BufferRule
  /** A node not heard of for longer than this gets no share. */
  readonly deadAfterMs: number
}
