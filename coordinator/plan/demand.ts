/**
 * Sharing by observed demand: a node that sells more gets the larger share, so that a crowd which meets one node more
 * than another (a client that is pinned, a region) waits less for allowance.
 *
 * What a node confirms is what is seen of its demand. A node with too small a share confirms less than it is asked
 * for, but never nothing: every live node keeps a floor, the buffer and the least allowance, so its rate, and with it
 * its share, grows until it is served. Which buyers get tickets is not touched: the counter in the store decides.
 */

/** Rates halve in weight after so long: a wave of buyers shows within two looks, a hiccup does not. */
export const HALF_LIFE_MS = 2000
/** Shares are whole numbers that add up to about this. */
const SCALE = 100
/** A live node keeps at least this part of an equal share. */
const FLOOR = 0.25
/** Below this many tickets a second, all nodes together, nothing is said about demand. */
const RATE_MIN = 1
/** Shares that are nearer than this part of the whole to what is wanted are left alone. */
const NEAR = 0.05

export interface Demand {
  readonly atMs: number
  /** Tickets that each node had confirmed then. */
  readonly confirmed: Readonly<Record<string, number>>
  /** Smoothed, tickets a second. */
  readonly perSecond: Readonly<Record<string, number>>
}

export interface Seller {
  readonly id: string
  readonly confirmed: number
}

/** Takes in one look at the nodes' counts. A count that went back (a node in a new era) starts anew. */
export function observeDemand(before: Demand | null, nowMs: number, sellers: readonly Seller[]): Demand {
  const confirmed = Object.fromEntries(sellers.map((seller) => [seller.id, seller.confirmed]))
  const passedMs = before === null ? 0 : nowMs - before.atMs
  if (before === null || passedMs <= 0) {
    return before ?? { atMs: nowMs, confirmed, perSecond: Object.fromEntries(sellers.map(({ id }) => [id, 0])) }
  }
  const kept = 0.5 ** (passedMs / HALF_LIFE_MS)
  const perSecond = sellers.map(({ id, confirmed: count }) => {
    const rate = (Math.max(0, count - (before.confirmed[id] ?? count)) * 1000) / passedMs
    return [id, kept * (before.perSecond[id] ?? 0) + (1 - kept) * rate]
  })
  return { atMs: nowMs, confirmed, perSecond: Object.fromEntries(perSecond) as Record<string, number> }
}

/** The weights that demand asks for, or null when those of now are as good or nobody buys. */
export function demandWeights(
  demand: Demand,
  live: readonly { readonly id: string; readonly weight: number }[],
): Record<string, number> | null {
  const rates = live.map(({ id }) => demand.perSecond[id] ?? 0)
  const total = sum(rates)
  if (live.length < 2 || total < RATE_MIN) return null
  const floor = Math.max(1, Math.round((FLOOR * SCALE) / live.length))
  const wanted = rates.map((rate) => Math.max(floor, Math.round((SCALE * rate) / total)))
  const wantedSum = sum(wanted)
  const presentSum = sum(live.map(({ weight }) => weight))
  const isNear = live.every(({ weight }, index) => {
    const share = presentSum === 0 ? 0 : weight / presentSum
    return Math.abs(share - (wanted[index] ?? 0) / wantedSum) <= NEAR
  })
  return isNear ? null : Object.fromEntries(live.map(({ id }, index) => [id, wanted[index] ?? floor]))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0)
}
