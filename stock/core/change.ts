/** An operator's changes to a running sale: its turn, its state and its stock; and a new era after recovery. */
import { certificateFault, changerFault } from './fence.ts'
import { noteOpening, noteReturn } from './heard.ts'
import { emit, type SaleRecord, stateAt, type StoreContext, versionOf } from './sale-record.ts'
import { type SaleState, type Version, VERSION_ZERO } from './words.ts'
import type { ChangedBy, ChangeReply, StateChange } from '../port.ts'

/**
 * What a change of state leads to, from the state by the clock: a new state, `unchanged`, or why it is refused.
 * `closed` is final: closing tells buyers that no more will come.
 */
export function nextState(present: SaleState, change: StateChange): SaleState | 'unchanged' | { refused: string } {
  switch (change) {
    case 'open':
      if (present === 'closed') return { refused: 'sale_closed' }
      return present === 'open' ? 'unchanged' : 'open'
    case 'pause':
      if (present === 'closed') return { refused: 'sale_closed' }
      if (present === 'draft') return { refused: 'sale_is_draft' }
      return present === 'paused' ? 'unchanged' : 'paused'
    case 'close':
      return present === 'closed' ? 'unchanged' : 'closed'
  }
}

/** An act begins: those with a lower turn change nothing from here on. */
export function beginTurn(
  record: SaleRecord | undefined,
  turn: number,
  seen: Version,
  context: StoreContext,
): ChangeReply {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  if (turn < record.turn) return { outcome: 'refused', why: 'stale_turn', version: versionOf(record) }
  record.turn = turn
  const state = stateAt(record, context.nowMs)
  return { outcome: 'unchanged', version: versionOf(record), nowMs: context.nowMs, state }
}

export function changeState(
  record: SaleRecord | undefined,
  change: StateChange,
  seen: Version,
  context: StoreContext,
  by: ChangedBy = {},
): ChangeReply {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const over = changerFault(record, by, seen)
  if (over !== null) return over
  const next = nextState(stateAt(record, context.nowMs), change)
  if (typeof next === 'object') return { outcome: 'refused', why: next.refused, version: versionOf(record) }
  if (by.lease !== undefined && change !== 'open') record.stoppedTurn = record.turn
  if (next !== 'unchanged') {
    record.state = next
    record.seq += 1
    if (next === 'open') noteOpening(record, { seq: record.seq, atMs: context.nowMs })
    emit(record)
  }
  return {
    outcome: next === 'unchanged' ? 'unchanged' : 'changed',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
  }
}

export function setStock(
  record: SaleRecord | undefined,
  fareId: string,
  stock: number,
  seen: Version,
  context: StoreContext,
  by: ChangedBy = {},
): ChangeReply {
  const stopped = certificateFault(record, seen, context)
  if (stopped !== null || record === undefined) return stopped ?? { outcome: 'recovering' }
  const over = changerFault(record, by, seen)
  if (over !== null) return over
  const fare = record.fares.get(fareId)
  if (fare === undefined) return { outcome: 'refused', why: 'no_such_fare', version: versionOf(record) }
  if (stock < fare.held + fare.paid) {
    return { outcome: 'refused', why: 'below_held_and_paid', version: versionOf(record) }
  }
  const changed = stock !== fare.stock
  if (changed) {
    record.seq += 1
    const before = { ...fare }
    fare.remaining += stock - fare.stock
    noteReturn(record, before, fare, { seq: record.seq, atMs: context.nowMs })
    fare.stock = stock
    fare.seq = record.seq
    emit(record)
  }
  return {
    outcome: changed ? 'changed' : 'unchanged',
    version: versionOf(record),
    nowMs: context.nowMs,
    state: stateAt(record, context.nowMs),
  }
}

/**
 * Begins a new era by compare-and-set: everything handed out in the old one (epochs, leases, levels) is void.
 *
 * The era alone would not do: an older copy may take the record's place after it was read and judged to have
 * everything, in the same era.
 */
export function certify(
  record: SaleRecord,
  expected: Version,
  era: number,
  floorSeq: number,
  context: StoreContext,
): { outcome: 'certified' | 'lost_race'; version: Version } {
  const isShort = record.sought.seq > Math.max(expected.seq, floorSeq)
  const isTaken = record.era !== expected.era || record.seq < expected.seq || era <= record.era || isShort
  // What is half put together again has to be put together to the end.
  if (isTaken || record.union !== null) return { outcome: 'lost_race', version: versionOf(record) }
  record.era = era
  record.seq = Math.max(record.seq, floorSeq) + 1
  record.certificate = context.fingerprint
  record.sought = VERSION_ZERO
  record.lease = 0
  record.liveWeight = 0
  record.weightsSeq = record.seq
  for (const node of record.nodes.values()) node.lastSeenMs = 0
  emit(record)
  return { outcome: 'certified', version: versionOf(record) }
}
