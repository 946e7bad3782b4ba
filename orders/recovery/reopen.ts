/**
 * May a sale whose store began another life be opened again without a human? Pure: from what store, mark and
 * nodes say to a decision with its reasons.
 *
 * Yes only if nothing that anybody acknowledged can be missing:
 *
 *   1. the store has a record of the sale,
 *   2. it is behind neither the mark nor any live node (nor a node's own last write) nor anybody who called it, and
 *   3. AOF with fsync always was on while the mark was seen, and is on now. Without a mark nothing says that it
 *      was, so a mark is needed; nodes add what happened since; and
 *   4. it has every order that the ledger has.
 *
 * Otherwise the sale stays `recovering` and the operator decides (`sale recover`).
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { Mark } from './marks.ts'

export interface StoredSale {
  readonly version: Version
  readonly nodes: readonly { readonly id: string; readonly lastWriteSeq: number }[]
  /** The most that a caller had seen where the store was behind it; zero for none. */
  readonly sought: Version
}

/** What a live node says about the sale; `known` is null when it does not know the sale. */
export interface NodeTestimony {
  readonly nodeId: string
  /** Null while the node has not answered. */
  readonly reply: { readonly known: (Version & { readonly lastWriteSeq: number }) | null } | null
}

export interface ReopenCase {
  /** Null when the store has no record of the sale. */
  readonly store: StoredSale | null
  readonly mark: Mark | null
  /** One per node that has answered, or that the fleet calls live. */
  readonly nodes: readonly NodeTestimony[]
  /** What the ledger has and the store does not, as reasons. */
  readonly missing: readonly string[]
  /** Durability of the store now. */
  readonly durability: { readonly durable: boolean; readonly faults: readonly string[] }
  /** How long this life of the store has answered, and the nodes have been asked. */
  readonly askedMs: number
}

export type ReopenDecision =
  | {
      readonly decision: 'reopen'
      /** What the store was judged by. */
      readonly expected: Version
      /** The highest seq anybody is known to have seen. */
      readonly floorSeq: number
    }
  /** Some node has not answered yet, or none that answered has seen the sale. */
  | { readonly decision: 'wait'; readonly reasons: readonly string[] }
  | { readonly decision: 'stay'; readonly reasons: readonly string[] }

/** Nodes are waited for at most this long; then the decision falls without them. */
export const ASK_NODES_MS_MAX = 1000

export function decideReopen(facts: ReopenCase): ReopenDecision {
  const { store } = facts
  if (store === null) return { decision: 'stay', reasons: ['the store has no record of this sale'] }

  const reasons = [
    ...reasonsOfMark(store, facts),
    ...facts.nodes.flatMap((node) => reasonsOfNode(store, node)),
    ...reasonsOfCallers(store),
    ...facts.missing,
  ]
  if (reasons.length > 0) return { decision: 'stay', reasons }

  if (facts.askedMs < ASK_NODES_MS_MAX) {
    const missing = facts.nodes.filter((node) => node.reply === null)
    if (missing.length > 0) {
      return { decision: 'wait', reasons: missing.map((node) => `node ${node.nodeId} has not answered yet`) }
    }
    // A store that is behind may lack the very nodes that know it. They come anew, and until then nothing is sold.
    if (!facts.nodes.some(hasSeenTheSale)) {
      return { decision: 'wait', reasons: ['no node that has seen the sale has answered yet'] }
    }
  }
  return { decision: 'reopen', expected: store.version, floorSeq: floorSeqOf(facts) }
}

/** A node that was never let into the sale knows of it and has seen nothing. */
export function hasSeenTheSale({ reply }: NodeTestimony): boolean {
  return (reply?.known?.era ?? 0) > 0
}

/** The highest seq that store, mark, any node or caller has seen, whatever the era. */
export function floorSeqOf(facts: Pick<ReopenCase, 'store' | 'mark' | 'nodes'>): number {
  const seqs = facts.nodes.map((node) => node.reply?.known?.seq ?? 0)
  return Math.max(facts.store?.version.seq ?? 0, facts.store?.sought.seq ?? 0, facts.mark?.seq ?? 0, ...seqs)
}

function reasonsOfMark(store: StoredSale, facts: ReopenCase): string[] {
  const { mark, durability } = facts
  const reasons: string[] = []
  if (mark === null) {
    const nobody = facts.nodes.every((node) => (node.reply?.known ?? null) === null)
    reasons.push(
      nobody
        ? 'neither a mark nor a live node says how far the sale had come'
        : 'no mark says that AOF with fsync always was on before',
    )
  } else {
    if (compareVersions(store.version, mark) < 0) {
      reasons.push(`the store is at ${show(store.version)}, behind the mark ${show(mark)}`)
    }
    if (!mark.durable) reasons.push(`AOF with fsync always was not on when the mark ${show(mark)} was seen`)
  }
  if (!durability.durable) {
    const faults = durability.faults.length > 0 ? `: ${durability.faults.join(', ')}` : ''
    reasons.push(`AOF with fsync always is not on${faults}`)
  }
  return reasons
}

/** They may be nodes that nobody who recovers knows: the store that lacks their orders may lack them, too. */
function reasonsOfCallers({ version, sought }: StoredSale): string[] {
  if (compareVersions(version, sought) >= 0) return []
  return [`the store is at ${show(version)}, behind a caller at ${show(sought)}`]
}

/** What shows that the store lacks something that this node knows, as reasons. */
export function reasonsOfNode(store: StoredSale, node: NodeTestimony): string[] {
  const known = node.reply?.known ?? null
  if (known === null) return []
  if (compareVersions(store.version, known) < 0) {
    return [`the store is at ${show(store.version)}, behind node ${node.nodeId} at ${show(known)}`]
  }
  if (known.era !== store.version.era) return []
  const stored = store.nodes.find(({ id }) => id === node.nodeId)?.lastWriteSeq ?? 0
  if (stored >= known.lastWriteSeq) return []
  return [`the store has the last change of node ${node.nodeId} as ${stored}, the node made ${known.lastWriteSeq}`]
}

export function show(version: Version): string {
  return `era ${version.era} seq ${version.seq}`
}
