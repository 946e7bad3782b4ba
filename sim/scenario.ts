/** What one seed draws before anything runs: the sale, the fleet, how buyers behave, how clocks go. */
import type { Random } from '../runtime/random.ts'
import type { BufferRule, SaleDefinition } from '../stock/core/words.ts'
import { WALL_START_MS } from './host.ts'

export const SALE_ID = 'rush'

export interface Scenario {
  readonly definition: SaleDefinition
  readonly nodes: number
  readonly buyers: number
  /** How long buyers come. */
  readonly requestMs: number
  readonly buffer: BufferRule
  readonly deadAfterMs: number
  readonly heartbeatMs: number
  readonly buyDeadlineMs: number
  readonly batchMaxItems: number
  readonly batchMaxInFlight: number
  readonly lineMaxItems: number
  /** A turn of a node's event loop. */
  readonly turnMs: number
  readonly latencyMs: number
  /** Clocks of different processes go differently fast by at most this share. */
  readonly skew: number
  /** Whether faults may take acknowledged writes away. */
  readonly isLossy: boolean
  /** Messages overtake each other all the time, not only in a bad network. */
  readonly isReordering: boolean
  readonly faults: number
  /** Of buyers, how many come in the first tenth of the time. */
  readonly rushShare: number
}

export function drawScenario(random: Random): Scenario {
  const pick = <T>(...values: readonly T[]): T => values[random.below(values.length)] as T
  const limitPerBuyer = pick(1, 2, 2, 4)
  const requestMs = pick(1500, 2000, 3000, 4000)
  const split = pick(100, 100, 60, 90)
  const fares = [{ id: 'a', name: 'A', stock: split, price: { amount: 1, currency: 'CNY' } }]
  if (split < 100) fares.push({ id: 'b', name: 'B', stock: 100 - split, price: { amount: 1, currency: 'CNY' } })
  const opening = random.next()
  return {
    definition: {
      id: SALE_ID,
      name: 'Rush',
      opensAtMs: opening < 0.2 ? WALL_START_MS + 700 : null,
      closesAtMs: null,
      limitPerBuyer,
      holdMs: pick(1500, 3000, 300_000, 300_000),
      fares,
      orderIdSecret: random.hex(32),
    },
    nodes: pick(4, 4, 5, 6),
    buyers: random.next() < 0.1 ? 600 : 200,
    requestMs,
    buffer: pick<BufferRule>({ percent: 10 }, { percent: 10 }, { tickets: 1 }, { percent: 100 }),
    deadAfterMs: pick(1000, 1500),
    heartbeatMs: 250,
    buyDeadlineMs: pick(1000, 2000, 3000),
    batchMaxItems: pick(1, 4, 128),
    batchMaxInFlight: pick(1, 2, 2, 4),
    lineMaxItems: pick(2, 10_000, 10_000),
    turnMs: pick(0.05, 0.5, 5),
    latencyMs: pick(0.3, 1, 5, 20),
    skew: pick(0, 0.001, 0.02),
    isLossy: random.next() < 0.5,
    isReordering: random.next() < 0.3,
    faults: 2 + random.below(5),
    rushShare: pick(0.2, 0.6, 0.9),
  }
}
