/**
 * Which nodes have heard that there is something to buy again.
 *
 * A node may answer "no" from memory for a while after it heard of a shortage, to whoever is not known to have won.
 * When tickets come back, or the sale opens again, somebody may win through one node while another still remembers the
 * shortage, and hears a repeat of that very request:
 *
 *   1. n1 hears a zero in a heartbeat, and that nobody has won since
 *   2. a ticket comes back; ann wins it through n2 and is told so
 *   3. ann repeats the request at n1, which does not know her, and would say `all_held`
 *
 * So n2 tells her only when every node that may remember has heard of the return, or can remember no longer. The store
 * notes each reopening, and what each node says it has heard.
 *
 * `include/heard.lua` is the same in Redis.
 */
import type { FareRecord, NodeRecord, SaleRecord, StoreContext } from './sale-record.ts'
import type { Unheard } from '../port.ts'

/** How long a heartbeat vouches for what it said, from when it was sent. */
export const FRESH_MS = 1000

/** Other replies vouch for what they said, too, and are not noted; heartbeats are never far from them. */
const MAY_REMEMBER_MS = 1500

/** The last time that something could be bought which could not before. */
export interface Reopening {
  readonly seq: number
  /** By the store's clock. */
  readonly atMs: number
}

export const NEVER: Reopening = { seq: 0, atMs: 0 }

/** Notes the reopening of a fare whose remaining tickets change now: somebody may have been refused for want of them. */
export function noteReturn(record: SaleRecord, before: FareRecord, after: FareRecord, now: Reopening): void {
  if (after.remaining <= before.remaining || before.remaining >= record.definition.limitPerBuyer) return
  after.reopened = now
  record.reopenedSeq = now.seq
}

/** Notes that the sale is opened by hand. */
export function noteOpening(record: SaleRecord, now: Reopening): void {
  record.reopened = now
  record.reopenedSeq = now.seq
}

/** Every other node that may answer from memory has heard of all changes up to this seq. */
export function heardByOthers(record: SaleRecord, nodeId: string, nowMs: number): number {
  let heard = record.seq
  for (const [id, node] of record.nodes) {
    if (id !== nodeId && mayRemember(node, nowMs)) heard = Math.min(heard, node.heardSeq)
  }
  return heard
}

/** The fares among these whose last reopening not every other node has heard of. */
export function unheardOf(
  record: SaleRecord,
  nodeId: string,
  fareIds: Iterable<string>,
  { nowMs }: StoreContext,
): Unheard[] {
  const unheard: Unheard[] = []
  for (const fareId of fareIds) {
    const fare = record.fares.get(fareId)
    if (fare === undefined) continue
    const { seq, atMs } = fare.reopened.seq > record.reopened.seq ? fare.reopened : record.reopened
    const forMs = atMs + FRESH_MS - nowMs
    if (forMs > 0 && seq > heardByOthers(record, nodeId, nowMs)) unheard.push({ fareId, seq, forMs })
  }
  return unheard
}

function mayRemember(node: NodeRecord, nowMs: number): boolean {
  return node.lastSeenMs > nowMs - MAY_REMEMBER_MS
}
