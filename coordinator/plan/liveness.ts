/**
 * Who is dead. A node is judged dead when the store has not heard of it for longer than `deadAfterMs`, both times
 * by the store's clock, and only by a judge that itself has heard the store for that long (see `attention.ts`).
 *
 * Being judged dead takes nothing from a node that lives after all: its writes are fenced, it joins anew and is
 * live again. So a wrong judgement costs a moment, never a ticket; a missing one costs nothing either, because the
 * scripts reckon live weights themselves.
 */

export interface ObservedNode {
  readonly id: string
  readonly epoch: number
  readonly state: 'live' | 'draining' | 'drained' | 'dead'
  readonly weight: number
  readonly url: string
  readonly lastSeenMs: number
}

export interface Judge {
  readonly deadAfterMs: number
  /** How long the judge's own reads have been answered without interruption. */
  readonly uninterruptedMs: number
}

export function isSilent(lastSeenMs: number, nowMs: number, deadAfterMs: number): boolean {
  return nowMs - lastSeenMs > deadAfterMs
}

export function mayJudge(judge: Judge): boolean {
  return judge.uninterruptedMs >= judge.deadAfterMs
}

/** The nodes to declare dead now: silent ones that are not dead already and did not leave in good order. */
export function newlyDead(nodes: readonly ObservedNode[], nowMs: number, judge: Judge): ObservedNode[] {
  if (!mayJudge(judge)) return []
  return nodes.filter(
    (node) =>
      (node.state === 'live' || node.state === 'draining') && isSilent(node.lastSeenMs, nowMs, judge.deadAfterMs),
  )
}
