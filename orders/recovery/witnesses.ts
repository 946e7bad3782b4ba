/**
 * Who may have told buyers of orders that neither store nor ledger has? Pure: from what was last seen of a sale that
 * sold, and what nodes answer, to what is not accounted for.
 *
 * Every order that was acknowledged was told by a node. Nothing is lost, then, if of every node that sold
 *
 *   1. everything it told after what the ledger has taken is in its journal, and the journal is here, or
 *   2. its last change is one that the ledger has taken, and it was dead already when the sale was last seen selling.
 *
 * That takes somebody who knows which nodes sold: a process that saw the sale sell until just before. Whoever starts
 * later, and finds a store that has lost orders, finds one that may have lost nodes as well.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import { show } from './reopen.ts'

/** A sale as it was when it was last seen selling. */
export interface LastSeen {
  readonly atMs: number
  readonly version: Version
  readonly nodes: readonly { readonly id: string; readonly live: boolean; readonly lastWriteSeq: number }[]
}

export interface WitnessCase {
  /** Null when this process never saw it sell. */
  readonly lastSeen: LastSeen | null
  /** When it was first seen not to sell. */
  readonly sinceMs: number
  /** Nodes that the fleet has in the traffic. */
  readonly fleet: readonly string[]
  /** By node: from which version on its journal is whole; null when it answers for nothing. Absent: it did not answer. */
  readonly journals: ReadonlyMap<string, Version | null>
  /** Every order up to here is in the ledger. */
  readonly taken: Version
}

/** Rounds look five times a second; a process that stood still for longer may have missed a node. */
const SEEN_LATELY_MS = 5000

/** Reasons, empty when nobody can have told of an order that is not accounted for. */
export function unaccounted({ lastSeen, sinceMs, fleet, journals, taken }: WitnessCase): string[] {
  if (lastSeen === null || sinceMs - lastSeen.atMs > SEEN_LATELY_MS) {
    return ['this process did not see the sale sell before it was lost, so it does not know which nodes sold']
  }
  const nodes = new Set([...fleet, ...lastSeen.nodes.map(({ id }) => id)])
  return [...nodes].toSorted().flatMap((id) => {
    const since = journals.get(id)
    if (since !== undefined && since !== null && compareVersions(since, taken) <= 0) return []
    const known = lastSeen.nodes.find((node) => node.id === id)
    const wasDead = known !== undefined && !known.live && !fleet.includes(id)
    const last = { era: lastSeen.version.era, seq: known?.lastWriteSeq ?? 0 }
    if (wasDead && compareVersions(last, taken) <= 0) return []
    return [`node ${id} ${why(since)} what it told after ${show(taken)}, which is as far as the ledger is`]
  })
}

function why(since: Version | null | undefined): string {
  if (since === undefined) return 'does not answer for'
  return since === null ? 'has begun anew and does not know' : `knows only after ${show(since)}, and not`
}
