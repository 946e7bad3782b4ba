/**
 * One sale as the global store keeps it, and the laws that hold after every step.
 *
 * The verbs beside this file (confirm, settle, join, …) change a record; they take time and fingerprint as
 * arguments and return replies as data. `stock/memory` keeps such records in this process; the Lua scripts in
 * `stock/redis` do the same to hashes in Redis, and conformance shows that both answer alike.
 */
import { allowanceOf } from './allowance.ts'
import { NEVER, type Reopening } from './heard.ts'
import {
  type FareCounters,
  type FareLevel,
  type Order,
  type QuotaRules,
  type SaleDefinition,
  type SaleState,
  type Version,
  VERSION_ZERO,
} from './words.ts'

export interface FareRecord {
  stock: number
  remaining: number
  held: number
  paid: number
  /** seq of the last change of these counters. */
  seq: number
  /** When tickets last came back, or were added, that somebody may have been refused for want of. */
  reopened: Reopening
}

export interface NodeRecord {
  epoch: number
  weight: number
  /** 0 for a node that is fenced or has not joined in this era. */
  lastSeenMs: number
  lastWriteSeq: number
  confirmed: number
  seenSeq: number
  /** Every fare has been heard up to this seq. */
  heardSeq: number
}

export interface BuyerRecord {
  /** Tickets held or paid, counted against the limit. */
  tickets: number
  /** Newest last; at most {@link BUYER_ORDERS_KEPT}. */
  orderIds: string[]
}

/** Most order ids listed per buyer; the order records themselves are all kept. */
export const BUYER_ORDERS_KEPT = 100

export interface SaleEvent {
  readonly version: Version
  /** Orders made by this change, as they came into being; empty for changes of another kind. */
  readonly made: readonly Order[]
  /** Ids of the orders that this change settled. */
  readonly settled: readonly string[]
}

export interface SaleRecord {
  definition: SaleDefinition
  era: number
  seq: number
  /** Fingerprint of the store's life for which the sale is certified; empty once found behind. */
  certificate: string
  /** The most that a caller had seen where the store was behind it, since it was last certified; zero for none. */
  sought: Version
  /** Tickets of all orders ever less what the nodes' records say they confirmed: what a union could not tell apart. */
  unattributed: number
  /**
   * While the sale is put together again: the era it will open under, the life in which that began, and when whoever
   * does it was last heard.
   */
  union: { readonly era: number; readonly fingerprint: string; heardMs: number } | null
  /** The era under which its counters were last made from its orders; 0 for never. */
  unitedEra: number
  /** As last set; see {@link stateAt} for what it is at a time. */
  state: SaleState
  /** When the sale was last opened by hand. */
  reopened: Reopening
  /** seq of the last reopening of the sale or of any fare. */
  reopenedSeq: number
  fares: Map<string, FareRecord>
  nodes: Map<string, NodeRecord>
  /** Sum of live nodes' weights, as of the last join, heartbeat or change of weights. */
  liveWeight: number
  /** seq of the last change of any weight or of the set of live nodes. */
  weightsSeq: number
  /** Highest lease number that ever changed weights in this era. */
  lease: number
  /** Highest number of an operator's act that was begun here; 0 for none. */
  turn: number
  /** Acts up to this number are over, for a leader has stopped the sale by itself since; null while none has. */
  stoppedTurn: number | null
  /** An operator's weights for this sale, in place of the fleet's. */
  shares: Readonly<Record<string, number>> | null
  orders: Map<string, Order>
  buyers: Map<string, BuyerRecord>
  events: SaleEvent[]
  /** Version of the newest event that was trimmed; zero while all are there. */
  trimmed: Version
}

/** What the store knows by itself when a verb runs. */
export interface StoreContext {
  readonly nowMs: number
  readonly fingerprint: string
}

export function newSaleRecord(definition: SaleDefinition, era: number, context: StoreContext): SaleRecord {
  const fares = new Map<string, FareRecord>()
  for (const fare of definition.fares) {
    fares.set(fare.id, { stock: fare.stock, remaining: fare.stock, held: 0, paid: 0, seq: 1, reopened: NEVER })
  }
  return {
    definition,
    era,
    seq: 1,
    certificate: context.fingerprint,
    sought: VERSION_ZERO,
    union: null,
    unitedEra: 0,
    unattributed: 0,
    state: definition.opensAtMs === null ? 'draft' : 'scheduled',
    reopened: NEVER,
    reopenedSeq: 0,
    fares,
    nodes: new Map(),
    liveWeight: 0,
    weightsSeq: 1,
    lease: 0,
    turn: 0,
    stoppedTurn: null,
    shares: null,
    orders: new Map(),
    buyers: new Map(),
    events: [],
    trimmed: VERSION_ZERO,
  }
}

export function versionOf(record: SaleRecord): Version {
  return { era: record.era, seq: record.seq }
}

/** The state by the store's clock: opening and closing times act by themselves, no process has to. */
export function stateAt(
  { state, definition: { opensAtMs, closesAtMs } }: Pick<SaleRecord, 'state' | 'definition'>,
  nowMs: number,
): SaleState {
  if (state === 'draft' || state === 'closed') return state
  if (closesAtMs !== null && nowMs >= closesAtMs) return 'closed'
  if (state === 'scheduled' && opensAtMs !== null && nowMs >= opensAtMs) return 'open'
  return state
}

/** The conservation law, written once: stock = remaining + held + paid, all at least 0. Returns what is wrong. */
export function conservationFault(fareId: string, fare: Omit<FareCounters, 'fareId'>): string | null {
  const { stock, remaining, held, paid } = fare
  const lawful = remaining >= 0 && held >= 0 && paid >= 0 && stock === remaining + held + paid
  return lawful ? null : `fare ${fareId}: stock ${stock}, remaining ${remaining}, held ${held}, paid ${paid}`
}

export function countersOf(record: SaleRecord): FareCounters[] {
  return [...record.fares].map(([fareId, { stock, remaining, held, paid }]) => ({
    fareId,
    stock,
    remaining,
    held,
    paid,
  }))
}

/** A fare as one node is told of it. */
export function levelFor(record: SaleRecord, fareId: string, weight: number, rules: QuotaRules): FareLevel | null {
  const fare = record.fares.get(fareId)
  if (fare === undefined) return null
  const { stock, remaining, held, paid, seq: changedSeq } = fare
  const allowance = allowanceOf({
    remaining,
    weight,
    liveWeight: record.liveWeight,
    limitPerBuyer: record.definition.limitPerBuyer,
    buffer: rules.buffer,
  })
  return { fareId, stock, remaining, held, paid, allowance, changedSeq }
}

export function isLive(node: NodeRecord, nowMs: number, rules: QuotaRules): boolean {
  return node.lastSeenMs > nowMs - rules.deadAfterMs
}

export function liveWeightAt(record: SaleRecord, nowMs: number, rules: QuotaRules): number {
  let sum = 0
  for (const node of record.nodes.values()) if (isLive(node, nowMs, rules)) sum += node.weight
  return sum
}

/** Writes an event of the change just made, at the record's present version. */
export function emit(record: SaleRecord, orders: Partial<Pick<SaleEvent, 'made' | 'settled'>> = {}): void {
  const { made = [], settled = [] } = orders
  record.events.push({ version: versionOf(record), made, settled })
}
