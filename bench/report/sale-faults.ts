/** Is what the load was told what the store holds? One rule set, for every sample of purchases. */
import { conservationFault } from '../../stock/core/sale-record.ts'
import type { FareCounters } from '../../stock/core/words.ts'

export interface SaleCount {
  readonly fares: readonly FareCounters[]
  /** Order records; each is one ticket here. */
  readonly orders: number
  /** Buyers with a record; each bought once here. */
  readonly buyers: number
  /** By the node's own counters since it started. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Clients that went before their answer, which is what a load generator does at its end: they may have bought. */
  readonly aborted: number
}

/** Faults of a sale in which every buyer buys one ticket once and only `expected` outcomes may be. */
export function saleFaults(count: SaleCount, expected: readonly string[]): string[] {
  const { fares, orders, buyers, outcomes, aborted } = count
  const held = fares.reduce((sum, fare) => sum + fare.held, 0)
  const won = outcomes['won']
  const faults = fares.flatMap((fare) => conservationFault(fare.fareId, fare) ?? [])
  if (fares.length === 0) faults.push('no fare was read')
  if (orders !== held) faults.push(`${orders} order records, but ${held} tickets held`)
  if (buyers !== orders) faults.push(`${buyers} buyers, but ${orders} orders of one each`)
  if (won === undefined || !Number.isFinite(aborted)) faults.push('the node told no counts')
  else if (won > held || won + aborted < held) {
    faults.push(
      `${held} tickets are held, but ${won} were answered 201 and ${aborted} clients went before their answer`,
    )
  }
  for (const [outcome, times] of Object.entries(outcomes)) {
    if (times > 0 && !expected.includes(outcome)) faults.push(`${times} unexpected answers: ${outcome}`)
  }
  return faults
}
