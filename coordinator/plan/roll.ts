/**
 * A rolling restart as one next step at a time.
 *
 * What is done is not written down but seen: a node is renewed when another process than at the beginning serves, is
 * live, and has its traffic. So whoever goes on after a crash, of the one who rolls or of any coordinator, goes on at
 * the right step, and a step done twice does no harm.
 *
 * A node is taken out only while every other one is well; once out it is always brought back, whatever else happens.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { NodeState } from '../../stock/port.ts'

/** Written once, when the roll begins. */
export interface RollRecord {
  readonly startedAt: string
  /** In the order in which they are restarted; `process` tells the process that served then. */
  readonly nodes: readonly { readonly id: string; readonly process: string }[]
}

export interface RollNode {
  readonly id: string
  /** The process that serves now; null for none. */
  readonly process: string | null
  readonly state: NodeState
  /** The store has heard of it within `deadAfterMs`. */
  readonly isHeard: boolean
  /** It says that it is ready. */
  readonly isReady: boolean
}

export interface RollView {
  /** Of the fleet's record, and up to which version nginx does what it says. */
  readonly version: Version
  readonly applied: Version
  readonly nodes: readonly RollNode[]
}

export type RollStep =
  | { readonly do: 'done' }
  /** A node that should be well is not, and it is not its turn: nothing more is taken out. */
  | { readonly do: 'give_up'; readonly id: string; readonly why: string }
  | { readonly do: 'drain' | 'end' | 'start'; readonly id: string }
  | { readonly do: 'wait'; readonly id: string; readonly until: 'drained' | 'ready' | 'traffic' }

export function nextRollStep(record: RollRecord, view: RollView): RollStep {
  for (const { id, process } of record.nodes) {
    const node = view.nodes.find((candidate) => candidate.id === id)
    // Removed from the cluster meanwhile: nothing is left to restart.
    if (node === undefined) continue
    const step = stepFor(node, process, view)
    if (step !== null) return step
  }
  return { do: 'done' }
}

/** Null for a node that is renewed. */
function stepFor(node: RollNode, old: string, view: RollView): RollStep | null {
  const { id, state } = node
  if (node.process === null) return { do: 'start', id }
  if (node.process !== old) return bringBack(node, view)
  if (state === 'draining') return { do: 'wait', id, until: 'drained' }
  if (state === 'drained') return { do: 'end', id }
  const unwell = view.nodes.find((other) => troubleOf(other) !== null)
  if (unwell !== undefined) return { do: 'give_up', id: unwell.id, why: troubleOf(unwell) ?? '' }
  if (view.nodes.length < 2) return { do: 'give_up', id, why: 'is the only node: its restart would stop the sale' }
  return { do: 'drain', id }
}

function bringBack(node: RollNode, view: RollView): RollStep | null {
  const { id } = node
  if (troubleOf(node) !== null) return { do: 'wait', id, until: 'ready' }
  return compareVersions(view.applied, view.version) < 0 ? { do: 'wait', id, until: 'traffic' } : null
}

/** Why a node is not well; null when it is. */
export function troubleOf({ process, state, isHeard, isReady }: RollNode): string | null {
  if (process === null) return 'does not run'
  if (state !== 'live') return `is ${state}`
  if (!isHeard) return 'is silent'
  return isReady ? null : 'is not ready'
}
