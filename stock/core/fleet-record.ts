/** The fleet as the global store keeps it: which nodes there are, who leads, which sales there are. */
import type { StoreContext } from './sale-record.ts'
import { compareVersions, type Version } from './words.ts'
import type { FleetNode, FleetSnapshot, NodeState, OrdersProcess } from '../port.ts'

/** After this long without an announcement an orders process is taken for gone. */
export const ORDERS_FORGOTTEN_AFTER_MS = 60_000

export interface FleetRecord {
  era: number
  seq: number
  certificate: string
  configHash: string | null
  nodes: Map<string, FleetNode>
  orders: Map<string, OrdersProcess & { lastSeenMs: number }>
  saleIds: Set<string>
  leader: { id: string; adminUrl: string; lease: number; untilMs: number } | null
  /** Highest lease number handed out; only grows. */
  lease: number
  /** Up to which version the load balancer does what the record says. */
  applied: Version
}

/** Not certified until a coordinator allots its first era. */
export function newFleetRecord(): FleetRecord {
  return {
    era: 0,
    seq: 0,
    certificate: '',
    configHash: null,
    nodes: new Map(),
    orders: new Map(),
    saleIds: new Set(),
    leader: null,
    lease: 0,
    applied: { era: 0, seq: 0 },
  }
}

export function fleetVersion(record: FleetRecord): Version {
  return { era: record.era, seq: record.seq }
}

export function readFleet(record: FleetRecord, context: StoreContext): FleetSnapshot {
  return {
    nowMs: context.nowMs,
    version: fleetVersion(record),
    certified: record.certificate === context.fingerprint,
    nodes: [...record.nodes.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    orders: [...record.orders.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    saleIds: [...record.saleIds].toSorted(),
    leader: record.leader === null || record.leader.untilMs <= context.nowMs ? null : { ...record.leader },
    configHash: record.configHash,
    applied: record.applied,
  }
}

/** A node enters as live, at the weight the fleet knows for it or, when new, the one it brings. */
export function joinFleet(
  record: FleetRecord,
  joining: { readonly id: string; readonly url: string; readonly adminUrl: string; readonly weight: number },
  context: StoreContext,
): FleetNode {
  const before = record.nodes.get(joining.id)
  record.seq += 1
  const node: FleetNode = {
    id: joining.id,
    epoch: (before?.epoch ?? 0) + 1,
    state: 'live',
    weight: before?.weight ?? joining.weight,
    url: joining.url,
    adminUrl: joining.adminUrl,
    lastSeenMs: context.nowMs,
  }
  record.nodes.set(node.id, node)
  return node
}

/** Notes an orders process, and forgets those that have been silent for too long. Who is there takes a seq. */
export function announceOrders(record: FleetRecord, announced: OrdersProcess, { nowMs }: StoreContext): void {
  const { id, url, adminUrl } = announced
  const before = record.orders.get(id)
  let changed = before === undefined || before.url !== url || before.adminUrl !== adminUrl
  for (const [other, { lastSeenMs }] of record.orders) {
    if (other === id || lastSeenMs > nowMs - ORDERS_FORGOTTEN_AFTER_MS) continue
    record.orders.delete(other)
    changed = true
  }
  record.orders.set(id, { id, url, adminUrl, lastSeenMs: nowMs })
  if (changed) record.seq += 1
}

export function resignOrders(record: FleetRecord, id: string): void {
  if (record.orders.delete(id)) record.seq += 1
}

export function takeLease(
  record: FleetRecord,
  coordinator: { readonly id: string; readonly adminUrl: string },
  ttlMs: number,
  context: StoreContext,
): { outcome: 'leading'; lease: number } | { outcome: 'following'; leaderId: string } {
  const { leader } = record
  const taken = leader !== null && leader.untilMs > context.nowMs
  if (taken && leader.id !== coordinator.id) return { outcome: 'following', leaderId: leader.id }
  if (!taken) record.lease += 1
  record.leader = { ...coordinator, lease: record.lease, untilMs: context.nowMs + ttlMs }
  return { outcome: 'leading', lease: record.lease }
}

export interface NodeChange {
  readonly id: string
  readonly expectedEpoch: number
  readonly state?: NodeState
  readonly weight?: number
}

/** Changes each node only at the epoch expected. `dead` raises the epoch, which fences the node. */
export function setNodes(
  record: FleetRecord,
  lease: number | null,
  changes: readonly NodeChange[],
  context: StoreContext,
  expected: Version | null = null,
): 'changed' | 'refused' | 'outdated' {
  if (lease !== null && !holdsLease(record, lease, context)) return 'refused'
  if (expected !== null && compareVersions(expected, fleetVersion(record)) !== 0) return 'outdated'
  let changed = false
  for (const change of changes) {
    const node = record.nodes.get(change.id)
    if (node === undefined || node.epoch !== change.expectedEpoch) continue
    const state = change.state ?? node.state
    const epoch = state === 'dead' && node.state !== 'dead' ? node.epoch + 1 : node.epoch
    record.nodes.set(node.id, { ...node, state, epoch, weight: change.weight ?? node.weight })
    changed = true
  }
  if (changed) record.seq += 1
  return 'changed'
}

/** Only the holder of the lease may say so; a lower version than noted changes nothing. */
export function noteApplied(
  record: FleetRecord,
  lease: number,
  version: Version,
  context: StoreContext,
): 'noted' | 'refused' {
  if (!holdsLease(record, lease, context)) return 'refused'
  if (compareVersions(version, record.applied) > 0) record.applied = version
  return 'noted'
}

function holdsLease({ leader }: FleetRecord, lease: number, { nowMs }: StoreContext): boolean {
  return leader !== null && leader.untilMs > nowMs && leader.lease === lease
}

/** The hash that counts: set by the first of a fleet, and anew when no node is live any more. */
export function agreeOnConfig(record: FleetRecord, hash: string, deadAfterMs: number, context: StoreContext): string {
  const isAnybodyLive = [...record.nodes.values()].some(
    (node) => node.state !== 'dead' && node.lastSeenMs > context.nowMs - deadAfterMs,
  )
  if (record.configHash === null || !isAnybodyLive) record.configHash = hash
  return record.configHash
}

export function certifyFleet(
  record: FleetRecord,
  expectedEra: number,
  era: number,
  context: StoreContext,
): 'certified' | 'lost_race' {
  if (record.era !== expectedEra || era <= record.era) return 'lost_race'
  record.era = era
  record.seq += 1
  record.certificate = context.fingerprint
  record.leader = null
  return 'certified'
}
