/**
 * Who may act on a sale: the era fence and the epoch fence, the only two things that stop a batch as a whole.
 *
 * A store is trusted for a sale only while it is certified (same fingerprint as when its era began) and not
 * behind anything its callers have seen. The fingerprint alone is not enough: a copy restored in place, or a
 * server that was master before, shows the old one with older data. So every call carries what its caller has
 * seen; a store behind that loses its certificate at once, for everybody, and remembers how far the caller had come.
 */
import { type SaleRecord, type StoreContext, versionOf } from './sale-record.ts'
import { compareVersions, type Version } from './words.ts'
import type { Caller, ChangedBy, ChangeReply, Stopped } from '../port.ts'

const RECOVERING: Stopped = { outcome: 'recovering' }

/** Certified, and not behind `seen`? A store behind loses its certificate. */
export function certificateFault(record: SaleRecord | undefined, seen: Version, context: StoreContext): Stopped | null {
  if (record === undefined) return RECOVERING
  const isBehind = compareVersions(seen, versionOf(record)) > 0
  // Whoever recovers the store may not know the caller.
  if (isBehind && compareVersions(seen, record.sought) > 0) record.sought = { era: seen.era, seq: seen.seq }
  if (record.certificate !== context.fingerprint) return RECOVERING
  return isBehind ? voidCertificate(record) : null
}

/** Is the store behind this node's own last change? Only meaningful within one era. */
export function lastWriteFault(
  record: SaleRecord,
  nodeId: string,
  seen: Version,
  lastWriteSeq: number,
): Stopped | null {
  if (seen.era !== record.era) return null
  const known = record.nodes.get(nodeId)?.lastWriteSeq ?? 0
  return known < lastWriteSeq ? voidCertificate(record) : null
}

export function callerFault(record: SaleRecord | undefined, caller: Caller, context: StoreContext): Stopped | null {
  const fault = certificateFault(record, caller.seen, context)
  if (fault !== null || record === undefined) return fault ?? RECOVERING
  if (caller.seen.era < record.era) return { outcome: 'fenced', version: versionOf(record) }
  const lost = lastWriteFault(record, caller.nodeId, caller.seen, caller.lastWriteSeq)
  if (lost !== null) return lost
  const epoch = record.nodes.get(caller.nodeId)?.epoch ?? 0
  return epoch === caller.epoch ? null : { outcome: 'fenced', version: versionOf(record) }
}

function voidCertificate(record: SaleRecord): Stopped {
  record.certificate = ''
  return RECOVERING
}

/** A lease lower than the highest that ever wrote in this era: a leader that was deposed cannot act late. */
export function leaseFault(record: SaleRecord, lease: number): ChangeReply | null {
  if (lease >= record.lease) return null
  return { outcome: 'refused', why: 'stale_lease', version: versionOf(record) }
}

/**
 * Is the act over? It was begun in another era, or another was begun or a leader stopped the sale since, or the store
 * does not know that it was begun.
 */
export function turnFault(record: SaleRecord, turn: number, seen: Version): ChangeReply | null {
  const isStopped = record.stoppedTurn !== null && turn <= record.stoppedTurn
  if (isStopped) return staleTurn(record)
  if (turn === record.turn && seen.era === record.era) return null
  return staleTurn(record)
}

function staleTurn(record: SaleRecord): ChangeReply {
  return { outcome: 'refused', why: 'stale_turn', version: versionOf(record) }
}

/** May whoever asks for a change still do so? */
export function changerFault(record: SaleRecord, { lease, turn }: ChangedBy, seen: Version): ChangeReply | null {
  const deposed = lease === undefined ? null : leaseFault(record, lease)
  return deposed ?? (turn === undefined ? null : turnFault(record, turn, seen))
}
