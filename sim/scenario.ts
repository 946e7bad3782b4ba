/** What one seed draws before anything runs: the sale, the fleet, how buyers behave, how clocks go. */
import { type Random, seededRandom } from '../runtime/random.ts'
import type { BufferRule, SaleDefinition } from '../stock/core/words.ts'
import type { Ack } from './checkers/evidence.ts'
import { WALL_START_MS } from './host.ts'

export const SALE_ID = 'rush'

/**
 * What a seed leans towards. Three in eight draw everything at random; the others draw from fewer kinds of trouble,
 * closer together, so that what takes several things at once happens within a few dozen sales:
 *
 * - `recovery`: stores that come back with less, while those who know more are slow, away or gone
 * - `fleet`: nodes that die and join, and records of the fleet that come back older
 * - `last_ticket`: single tickets that come back and stay, and news that overtakes news
 * - `late`: commands that arrive twice, or long after their callers gave up and began anew
 * - `asleep`: nodes that fall asleep between a heartbeat and its answer, while tickets come back
 * - `lone_witness`: losses of which one alone knows, who must be asked
 */
export type Profile = 'mixed' | 'recovery' | 'fleet' | 'last_ticket' | 'late' | 'asleep' | 'lone_witness'

const DIRECTED: readonly Profile[] = ['recovery', 'fleet', 'last_ticket', 'late', 'asleep']

/** Drawn apart from all else: a mixed seed goes its way whatever the others do. */
export function profileOf(seed: number): Profile {
  const random = seededRandom(seed ^ 0x714)
  if (random.next() >= 0.5) return DIRECTED[random.below(DIRECTED.length)] as Profile
  return seededRandom(seed ^ LONE_SALT).next() < LONE_SHARE ? 'lone_witness' : 'mixed'
}

const LONE_SALT = 0x5d9
/** Of seeds that would else be mixed. */
const LONE_SHARE = 0.25

/** Drawn apart as well. */
export function ackOf(seed: number): Ack {
  return seededRandom(seed ^ 0xac4).next() < LEDGER_SHARE ? 'ledger' : 'redis'
}

/** Of seeds, how many run with `ack: ledger`. */
const LEDGER_SHARE = 0.2

export interface Scenario {
  readonly ack: Ack
  readonly profile: Profile
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
  /** Of wishes, how many are for as many tickets as one may have; the others are for any number up to that. */
  readonly wantsMostShare: number
}

export function drawScenario(random: Random, profile: Profile = 'mixed'): Omit<Scenario, 'ack'> {
  const scenario = drawAny(random)
  switch (profile) {
    case 'mixed':
      return scenario
    case 'recovery':
      return {
        ...scenario,
        profile,
        isLossy: true,
        batchMaxItems: 1,
        latencyMs: 0.3,
        faults: 3 + random.below(3),
        requestMs: 3000,
      }
    case 'fleet':
      return { ...scenario, profile, isLossy: true, deadAfterMs: 1000, faults: 6 + random.below(5), requestMs: 4000 }
    case 'last_ticket':
      return { ...scenario, ...lastTicket(scenario), profile }
    case 'late': {
      const buyDeadlineMs = random.next() < 0.4 ? 1000 : 3000
      return { ...scenario, profile, buyDeadlineMs, faults: 3 + random.below(3), requestMs: 3000, rushShare: 0.9 }
    }
    case 'lone_witness':
      return { ...scenario, ...loneWitness(scenario), profile, faults: 1 + random.below(2) }
    case 'asleep':
      return { ...scenario, profile, latencyMs: 20, faults: 3 + random.below(3), requestMs: 4000, rushShare: 0.9 }
  }
}

/** Everybody wants two, so that a single ticket which comes back stays, and messages are long under way. */
function lastTicket({ definition }: Pick<Scenario, 'definition'>): Partial<Scenario> {
  return {
    definition: { ...definition, limitPerBuyer: 2 },
    isReordering: true,
    latencyMs: 20,
    batchMaxItems: 1,
    batchMaxInFlight: 4,
    requestMs: 4000,
    rushShare: 0.9,
    wantsMostShare: 1,
  }
}

/** Orders come one by one all the time, and none lapses, so that there are moments at which just one knows of the last. */
function loneWitness({ definition }: Pick<Scenario, 'definition'>): Partial<Scenario> {
  return {
    definition: { ...definition, holdMs: 300_000, opensAtMs: null, limitPerBuyer: 2 },
    buyers: 200,
    isLossy: true,
    isReordering: false,
    deadAfterMs: 1000,
    latencyMs: 0.3,
    batchMaxItems: 1,
    requestMs: 4000,
    rushShare: 0.2,
  }
}

function drawAny(random: Random): Omit<Scenario, 'ack'> {
  const pick = <T>(...values: readonly T[]): T => values[random.below(values.length)] as T
  const limitPerBuyer = pick(1, 2, 2, 4)
  const requestMs = pick(1500, 2000, 3000, 4000)
  const split = pick(100, 100, 60, 90)
  const fares = [{ id: 'a', name: 'A', stock: split, price: { amount: 1, currency: 'CNY' } }]
  if (split < 100) fares.push({ id: 'b', name: 'B', stock: 100 - split, price: { amount: 1, currency: 'CNY' } })
  const opening = random.next()
  return {
    profile: 'mixed',
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
    wantsMostShare: 0,
  }
}
