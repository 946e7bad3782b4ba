/** Nodes in a sale: joining, heartbeats, weights, fences. The Lua twins are join, heartbeat, set-weights. */
import { winnersAfter } from './events.ts'
import { heardByOthers } from './heard.ts'
import { callerFault, certificateFault, lastWriteFault, leaseFault } from './fence.ts'
import {
  levelFor,
  liveWeightAt,
  type NodeRecord,
  type SaleRecord,
  stateAt,
  type StoreContext,
  versionOf,
} from './sale-record.ts'
import { compareVersions, type FareLevel, type QuotaRules, type Version } from './words.ts'
import type { Caller, ChangeReply, HeartbeatReply, JoinReply, Shares, Stopped } from '../port.ts'

export function join(
  record: SaleRecord | undefined,
  joining: { readonly id: string; readonly weight: number },
  seen: Version,
  lastWriteSeq: number,
  rules: QuotaRules,
  context: StoreContext,
): JoinReply | Stopped {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const lost = lastWriteFault(record, joining.id, seen, lastWriteSeq)
  if (lost !== null) return lost

  record.seq += 1
  const before = record.nodes.get(joining.id)
  const node: NodeRecord = {
    epoch: (before?.epoch ?? 0) + 1,
    weight: joining.weight,
    lastSeenMs: context.nowMs,
    lastWriteSeq: record.seq,
    confirmed: before?.confirmed ?? 0,
    seenSeq: record.seq,
    // Not before it says so: the answer to this call may be lost, and what it remembered stays.
    heardSeq: 0,
  }
  record.nodes.set(joining.id, node)
  record.weightsSeq = record.seq
  record.liveWeight = liveWeightAt(record, context.nowMs, rules)
  return {
    outcome: 'joined',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    epoch: node.epoch,
    weight: node.weight,
    opensAtMs: record.definition.opensAtMs,
    closesAtMs: record.definition.closesAtMs,
    fares: levelsChangedSince(record, 0, node.weight, rules),
  }
}

export interface HeartbeatOptions {
  readonly changedSinceSeq: number
  readonly winnersAfter: Version
  readonly winnersLimit: number
  readonly weight: number | null
}

export function heartbeat(
  record: SaleRecord | undefined,
  caller: Caller,
  options: HeartbeatOptions,
  rules: QuotaRules,
  context: StoreContext,
): HeartbeatReply | Stopped {
  const stopped = callerFault(record, caller, context)
  const node = record?.nodes.get(caller.nodeId)
  if (stopped !== null || record === undefined || node === undefined) return stopped ?? { outcome: 'recovering' }

  const reweighed = options.weight !== null && options.weight !== node.weight
  if (options.weight !== null) node.weight = options.weight
  node.lastSeenMs = context.nowMs
  node.seenSeq = caller.seen.seq
  node.heardSeq = options.changedSinceSeq
  const liveWeight = liveWeightAt(record, context.nowMs, rules)
  if (reweighed || liveWeight !== record.liveWeight) {
    record.seq += 1
    record.weightsSeq = record.seq
    record.liveWeight = liveWeight
    node.lastWriteSeq = record.seq
  }
  return {
    outcome: 'alive',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
    opensAtMs: record.definition.opensAtMs,
    closesAtMs: record.definition.closesAtMs,
    weight: node.weight,
    fares: levelsChangedSince(record, options.changedSinceSeq, node.weight, rules),
    winners: winnersAfter(record, options.winnersAfter, options.winnersLimit),
    heardSeq: heardByOthers(record, caller.nodeId, context.nowMs),
    reopenedSeq: record.reopenedSeq,
  }
}

/** Sets weights and fences nodes for the holder of a lease; a lower lease than the highest seen is refused. */
export function setWeights(
  record: SaleRecord | undefined,
  lease: number,
  weights: Readonly<Record<string, number>>,
  fenceNodes: readonly { readonly id: string; readonly epoch: number }[],
  rules: QuotaRules,
  context: StoreContext,
  rule?: { readonly shares: Shares | null; readonly expected: Version },
): ChangeReply {
  if (record === undefined || record.certificate !== context.fingerprint) return { outcome: 'recovering' }
  const deposed = leaseFault(record, lease)
  if (deposed !== null) return deposed
  const { era, weightsSeq } = record
  if (rule !== undefined && compareVersions(rule.expected, { era, seq: weightsSeq }) !== 0) {
    return { outcome: 'refused', why: 'weights_changed', version: versionOf(record) }
  }
  record.lease = lease
  let changed = rule !== undefined && sharesText(rule.shares) !== sharesText(record.shares)
  if (rule !== undefined) record.shares = rule.shares
  for (const [id, weight] of Object.entries(weights)) {
    const node = record.nodes.get(id)
    if (node === undefined || node.weight === weight) continue
    node.weight = weight
    changed = true
  }
  for (const fenced of fenceNodes) {
    const node = record.nodes.get(fenced.id)
    if (node === undefined || node.epoch !== fenced.epoch) continue
    node.epoch += 1
    node.lastSeenMs = 0
    changed = true
  }
  if (changed) {
    record.seq += 1
    record.weightsSeq = record.seq
    record.liveWeight = liveWeightAt(record, context.nowMs, rules)
  }
  return {
    outcome: changed ? 'changed' : 'unchanged',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
  }
}

/** One text for equal shares; empty for none. */
export function sharesText(shares: Shares | null): string {
  return shares === null ? '' : JSON.stringify(Object.entries(shares).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function levelsChangedSince(record: SaleRecord, sinceSeq: number, weight: number, rules: QuotaRules): FareLevel[] {
  const all = record.weightsSeq > sinceSeq
  const levels: FareLevel[] = []
  for (const [fareId, fare] of record.fares) {
    if (!all && fare.seq <= sinceSeq) continue
    const level = levelFor(record, fareId, weight, rules)
    if (level !== null) levels.push(level)
  }
  return levels
}
