/**
 * Putting a sale together again in a store that lost some of it: begun under an era that is not open yet, filled with
 * the orders that somebody still knows, and opened with counters that follow from them. In between nobody sells.
 *
 * Each step names the era, and the record the life of the store in which it was begun: a recoverer that wakes late, and
 * one whose store was replaced meanwhile, changes nothing. The Lua twins are begin-union, reassert and open-union.
 */
import {
  BUYER_ORDERS_KEPT,
  emit,
  newSaleRecord,
  type NodeRecord,
  type SaleRecord,
  type StoreContext,
  versionOf,
} from './sale-record.ts'
import type { Order, SaleDefinition, SaleState, Version } from './words.ts'
import { VERSION_ZERO } from './words.ts'

export interface UnitedFare {
  readonly fareId: string
  readonly stock: number
  readonly held: number
  readonly paid: number
}

/** What a node knows of itself, which the store may have lost. */
export interface UnitedNode {
  readonly id: string
  readonly epoch: number
  /** Tickets confirmed by it so far. */
  readonly confirmed: number
}

export interface UnitedSale {
  /** The highest seq anybody is known to have seen. */
  readonly floorSeq: number
  readonly state: SaleState
  readonly fares: readonly UnitedFare[]
  /** Of all orders that the store has then, the released ones among them. */
  readonly tickets: number
  /** Records that are lower, or not there, are raised to these. */
  readonly nodes: readonly UnitedNode[]
}

const NO_NODE: NodeRecord = {
  epoch: 0,
  weight: 0,
  lastSeenMs: 0,
  lastWriteSeq: 0,
  confirmed: 0,
  seenSeq: 0,
  heardSeq: 0,
}

/** Returns the record that was begun, new if there was none; `version` is the store's as it was found. */
export function beginUnion(
  known: SaleRecord | undefined,
  definition: SaleDefinition,
  era: number,
  context: StoreContext,
): { readonly outcome: 'begun' | 'lost_race'; readonly version: Version; readonly record: SaleRecord | null } {
  const record = known ?? emptyRecord(definition, context)
  const version = known === undefined ? VERSION_ZERO : versionOf(known)
  if (era <= record.era || (record.union !== null && record.union.era > era)) {
    return { outcome: 'lost_race', version, record: null }
  }
  record.certificate = ''
  record.union = { era, fingerprint: context.fingerprint, heardMs: context.nowMs }
  return { outcome: 'begun', version, record }
}

function emptyRecord(definition: SaleDefinition, context: StoreContext): SaleRecord {
  const record = newSaleRecord(definition, 0, context)
  record.seq = 0
  record.state = 'draft'
  record.weightsSeq = 0
  for (const fare of record.fares.values()) fare.seq = 0
  return record
}

export function reassert(
  record: SaleRecord | undefined,
  era: number,
  orders: readonly Order[],
  context: StoreContext,
): { readonly outcome: 'reasserted' } | { readonly outcome: 'recovering' } {
  if (record === undefined || !isUniting(record, era, context)) return { outcome: 'recovering' }
  record.union.heardMs = context.nowMs
  for (const order of orders) {
    const before = record.orders.get(order.id)
    const buyer = record.buyers.get(order.buyer) ?? { tickets: 0, orderIds: [] }
    buyer.tickets += countedTickets(order) - (before === undefined ? 0 : countedTickets(before))
    if (buyer.tickets < 0) throw new Error(`the buyer of ${order.id} has less than none`)
    if (before === undefined) buyer.orderIds = [...buyer.orderIds, order.id].slice(-BUYER_ORDERS_KEPT)
    record.buyers.set(order.buyer, buyer)
    record.orders.set(order.id, order)
  }
  return { outcome: 'reasserted' }
}

/** Those that count against the limit. */
export function countedTickets({ state, quantity }: Pick<Order, 'state' | 'quantity'>): number {
  return state === 'released' ? 0 : quantity
}

export function openUnion(
  record: SaleRecord | undefined,
  era: number,
  { floorSeq, state, fares, tickets, nodes }: UnitedSale,
  context: StoreContext,
): { readonly outcome: 'certified' | 'lost_race'; readonly version: Version } {
  if (record === undefined) return { outcome: 'lost_race', version: VERSION_ZERO }
  const isShort = record.sought.seq > Math.max(record.seq, floorSeq)
  if (isShort || !isUniting(record, era, context)) return { outcome: 'lost_race', version: versionOf(record) }
  const seq = Math.max(record.seq, floorSeq) + 1
  for (const { fareId, stock, held, paid } of fares) {
    if (held + paid > stock) throw new Error(`fare ${fareId}: held ${held}, paid ${paid} of ${stock}`)
  }
  for (const { fareId, stock, held, paid } of fares) {
    const fare = record.fares.get(fareId)
    if (fare !== undefined)
      record.fares.set(fareId, { ...fare, stock, remaining: stock - held - paid, held, paid, seq })
  }
  Object.assign(record, {
    era,
    seq,
    state,
    certificate: context.fingerprint,
    union: null,
    unitedEra: era,
    sought: VERSION_ZERO,
    lease: 0,
  })
  record.liveWeight = 0
  record.weightsSeq = seq
  for (const { id, epoch, confirmed } of nodes) {
    const node = record.nodes.get(id) ?? NO_NODE
    const [highest, most] = [Math.max(node.epoch, epoch), Math.max(node.confirmed, confirmed)]
    record.nodes.set(id, { ...node, epoch: highest, confirmed: most })
  }
  record.unattributed = tickets
  for (const node of record.nodes.values()) {
    node.lastSeenMs = 0
    record.unattributed -= node.confirmed
  }
  emit(record)
  return { outcome: 'certified', version: versionOf(record) }
}

type Uniting = SaleRecord & { readonly union: NonNullable<SaleRecord['union']> }

function isUniting(record: SaleRecord, era: number, { fingerprint }: StoreContext): record is Uniting {
  return record.union !== null && record.union.era === era && record.union.fingerprint === fingerprint
}
