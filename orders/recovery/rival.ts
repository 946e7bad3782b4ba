/**
 * Of several orders processes one puts a sale together, and the others let it. Whoever begins anew takes the work away
 * from who is at it, so that two which do this by turns would never come to an end.
 *
 * Who is at work says so in the store, again and again. That keeps nobody out who must come in: a process that died, or
 * was stopped, is waited for only so long, and each step names its era, so that one that wakes late changes nothing.
 */
import type { SaleSnapshot } from '../../stock/port.ts'

/** Longer than any step between two words: nodes may take three seconds to say what they told. */
export const RIVAL_SILENT_MS_MAX = 5000

/** `ownEra` is the one that the asking process began last. */
export function isRivalAtWork({ uniting, nowMs }: Pick<SaleSnapshot, 'uniting' | 'nowMs'>, ownEra: number): boolean {
  if (uniting === null || uniting.era === ownEra) return false
  const silentMs = nowMs - uniting.heardMs
  // A clock that was set back would make it be waited for as long as that.
  return silentMs >= 0 && silentMs < RIVAL_SILENT_MS_MAX
}
