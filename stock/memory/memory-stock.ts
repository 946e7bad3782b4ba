/**
 * The stock port over the pure core, in this process: for tests, simulation and conformance. Every operation is
 * one synchronous step, as a script is one step in Redis.
 */
import { beginTurn, changeState, certify, setStock } from '../core/change.ts'
import { confirm } from '../core/confirm.ts'
import { readEvents, trimEvents } from '../core/events.ts'
import {
  agreeOnConfig,
  announceOrders,
  certifyFleet,
  type FleetRecord,
  fleetVersion,
  joinFleet,
  newFleetRecord,
  noteApplied,
  readFleet,
  resignOrders,
  setNodes,
  takeLease,
} from '../core/fleet-record.ts'
import { heartbeat, join, setWeights } from '../core/membership.ts'
import {
  countersOf,
  isLive,
  newSaleRecord,
  type SaleRecord,
  stateAt,
  type StoreContext,
  versionOf,
} from '../core/sale-record.ts'
import { practiceSaleId } from '../core/practice.ts'
import { awaitReplicas } from '../core/replicas.ts'
import { settle } from '../core/settle.ts'
import { beginUnion, openUnion, reassert } from '../core/union.ts'
import type { Order, QuotaRules } from '../core/words.ts'
import type { FleetStore, SaleSnapshot, SaleStore, StockPort, Stopped } from '../port.ts'

const RECOVERING: Stopped = { outcome: 'recovering' }
const PAGE_SIZE = 1000

export interface MemoryStock extends StockPort {
  /** The records themselves: tests and simulators damage, copy and restore them. */
  readonly saleRecords: Map<string, SaleRecord>
  readonly fleetRecord: FleetRecord
}

export function createMemoryStock(world: {
  readonly nowMs: () => number
  readonly fingerprint: () => string
  /** How many replicas have everything. Default: none. */
  readonly replicas?: () => number
}): MemoryStock {
  const context = (): StoreContext => ({ nowMs: world.nowMs(), fingerprint: world.fingerprint() })
  const saleRecords = new Map<string, SaleRecord>()
  const fleetRecord = newFleetRecord()
  return {
    saleRecords,
    fleetRecord,
    sales: memorySales(saleRecords, context, world.replicas ?? (() => 0)),
    fleet: memoryFleet(fleetRecord, context),
    durability: () =>
      Promise.resolve({
        fingerprint: world.fingerprint(),
        durable: true,
        replicas: world.replicas?.() ?? 0,
        faults: [],
      }),
    close: () => Promise.resolve(),
  }
}

function memorySales(
  records: Map<string, SaleRecord>,
  context: () => StoreContext,
  replicaCount: () => number,
): SaleStore {
  return {
    async create(definition, era) {
      const found = records.get(definition.id)
      if (found !== undefined) return { outcome: 'exists', definition: found.definition, version: versionOf(found) }
      const record = newSaleRecord(definition, era, context())
      records.set(definition.id, record)
      return { outcome: 'created', definition, version: versionOf(record) }
    },
    read: async (saleId, rules) => {
      const record = records.get(saleId)
      return record === undefined ? null : snapshotOf(record, rules, context())
    },
    beginTurn: async (saleId, turn, seen) => beginTurn(records.get(saleId), turn, seen, context()),
    change: async (saleId, change, seen, by) => changeState(records.get(saleId), change, seen, context(), by),
    setStock: async (saleId, fareId, stock, seen, by) =>
      setStock(records.get(saleId), fareId, stock, seen, context(), by),
    setWeights: async (saleId, lease, weights, fenceNodes, rules, rule) =>
      setWeights(records.get(saleId), lease, weights, fenceNodes, rules, context(), rule),
    join: async (saleId, node, seen, lastWriteSeq, rules) =>
      join(records.get(saleId), node, seen, lastWriteSeq, rules, context()),
    heartbeat: async (saleId, caller, options, rules) =>
      heartbeat(records.get(saleId), caller, options, rules, context()),
    confirm: async (saleId, caller, items, rules) => confirm(records.get(saleId), caller, items, rules, context()),
    awaitReplicas: async (saleId, seen, replicas) =>
      awaitReplicas(records.get(saleId), seen, replicas, replicaCount(), context()),
    settle: async (saleId, items, seen) => settle(records.get(saleId), items, seen, context()),
    async certify(saleId, expected, era, floorSeq) {
      const record = records.get(saleId)
      return record === undefined ? { outcome: 'no_such_sale' } : certify(record, expected, era, floorSeq, context())
    },
    async beginUnion(definition, era) {
      const { outcome, version, record } = beginUnion(records.get(definition.id), definition, era, context())
      if (record !== null) records.set(definition.id, record)
      return { outcome, version }
    },
    reassert: async (saleId, era, orders) => reassert(records.get(saleId), era, orders, context()),
    openUnion: async (saleId, era, sale) => openUnion(records.get(saleId), era, sale, context()),
    async readEvents(saleId, after, limit) {
      const record = records.get(saleId)
      return record === undefined ? null : readEvents(record, after, limit, context())
    },
    trimEvents: async (saleId, upTo) => trimEvents(records.get(saleId), upTo, context()),
    readOrders: async (saleId, orderIds) => orderIds.map((id) => records.get(saleId)?.orders.get(id) ?? null),
    async readBuyer(saleId, buyer) {
      const record = records.get(saleId)
      const found = record?.buyers.get(buyer)
      const orderIds = (found?.orderIds ?? []).toReversed()
      return { tickets: found?.tickets ?? 0, orderIds, orders: ordersOf(record, buyer) }
    },
    readOrdersOf: async (saleId, buyers) => buyers.map((buyer) => ordersOf(records.get(saleId), buyer)),
    async scanOrders(saleId, cursor) {
      const page = pageOf([...(records.get(saleId)?.orders.values() ?? [])], cursor)
      return { cursor: page.cursor, orders: page.items }
    },
    async scanBuyers(saleId, cursor) {
      const page = pageOf([...(records.get(saleId)?.buyers ?? [])], cursor)
      return { cursor: page.cursor, buyers: page.items.map(([buyer, { tickets }]) => ({ buyer, tickets })) }
    },
    async erasePractice(nodeId) {
      records.delete(practiceSaleId(nodeId))
    },
  }
}

function ordersOf(record: SaleRecord | undefined, buyer: string): Order[] {
  const newestFirst = (record?.buyers.get(buyer)?.orderIds ?? []).toReversed()
  return newestFirst.map((id) => record?.orders.get(id)).filter((order): order is Order => order !== undefined)
}

function snapshotOf(record: SaleRecord, rules: QuotaRules, context: StoreContext): SaleSnapshot {
  const nodes = Array.from(record.nodes, ([id, node]) => ({ ...node, id, live: isLive(node, context.nowMs, rules) }))
  return {
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    definition: record.definition,
    certified: record.certificate === context.fingerprint,
    sought: record.sought,
    uniting: record.union === null ? null : { era: record.union.era, heardMs: record.union.heardMs },
    unitedEra: record.unitedEra,
    unattributed: record.unattributed,
    fares: countersOf(record),
    nodes: nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    liveWeight: record.liveWeight,
    weightsSeq: record.weightsSeq,
    turn: record.turn,
    stoppedTurn: record.stoppedTurn,
    shares: record.shares,
  }
}

function pageOf<T>(all: readonly T[], cursor: string): { cursor: string | null; items: readonly T[] } {
  const start = cursor === '' ? 0 : Number(cursor)
  const end = start + PAGE_SIZE
  return { cursor: end < all.length ? String(end) : null, items: all.slice(start, end) }
}

function memoryFleet(record: FleetRecord, context: () => StoreContext): FleetStore {
  const certified = (): boolean => record.certificate === context().fingerprint
  return {
    read: async () => readFleet(record, context()),
    agreeOnConfig: async (hash, deadAfterMs) => ({ hash: agreeOnConfig(record, hash, deadAfterMs, context()) }),
    certify: async (expectedEra, era) => ({
      outcome: certifyFleet(record, expectedEra, era, context()),
      version: fleetVersion(record),
    }),
    async addSale(saleId) {
      record.saleIds.add(saleId)
    },
    async join(node) {
      if (!certified()) return RECOVERING
      const { epoch, weight } = joinFleet(record, node, context())
      return { outcome: 'joined', epoch, weight }
    },
    async heartbeat({ id, epoch }) {
      if (!certified()) return RECOVERING
      const node = record.nodes.get(id)
      if (node === undefined || node.epoch !== epoch) return { outcome: 'fenced', version: fleetVersion(record) }
      const { nowMs } = context()
      record.nodes.set(id, { ...node, lastSeenMs: nowMs })
      const saleIds = [...record.saleIds].toSorted()
      return { outcome: 'alive', state: node.state, weight: node.weight, saleIds, nowMs }
    },
    lead: async (coordinator, ttlMs) => (certified() ? takeLease(record, coordinator, ttlMs, context()) : RECOVERING),
    async resign(coordinatorId) {
      if (certified()) takeLease(record, { id: coordinatorId, adminUrl: '' }, 0, context())
    },
    async announceOrders(process) {
      const now = context()
      announceOrders(record, process, now)
      return { nowMs: now.nowMs }
    },
    async resignOrders(id) {
      resignOrders(record, id)
    },
    async setNodes(lease, changes, expected) {
      if (!certified()) return RECOVERING
      const outcome = setNodes(record, lease, changes, context(), expected)
      return { outcome, version: fleetVersion(record) }
    },
    async noteApplied(lease, version) {
      return certified() ? { outcome: noteApplied(record, lease, version, context()) } : RECOVERING
    },
  }
}
