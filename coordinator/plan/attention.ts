/**
 * How long the judge itself has been able to hear.
 *
 * Silence has two causes: the one who should speak is dead, or the one who listens was deaf. A coordinator that
 * was stopped, a store that hung, or a clock that jumped makes every node look silent at once; so a judge may only
 * judge after `deadAfterMs` of uninterrupted answers to its own questions. This keeps that time.
 *
 * Two successive answers belong together only if neither the judge's monotonic clock nor the store's clock shows a
 * gap longer than `maxGapMs`, and both clocks agree about the time between. With a gap of at most half of
 * `deadAfterMs`, a gap alone cannot make a node that speaks look dead.
 */

export interface Answer {
  /** The judge's monotonic clock when the answer was read. */
  readonly heardAtMs: number
  /** The store's clock in the answer. */
  readonly storeNowMs: number
}

export interface Attention {
  /** The first answer of the present uninterrupted run; null while there is none. */
  readonly since: Answer | null
  readonly last: Answer | null
}

export const DEAF: Attention = { since: null, last: null }

/** The longest gap between two answers that does not start the judge's time anew. */
export function maxGapMs(deadAfterMs: number): number {
  return deadAfterMs / 2
}

/** Takes note of an answer. A failed question is noted by going back to {@link DEAF}. */
export function hear(attention: Attention, answer: Answer, deadAfterMs: number): Attention {
  const { since, last } = attention
  if (since === null || last === null) return { since: answer, last: answer }
  const heardMs = answer.heardAtMs - last.heardAtMs
  const storeMs = answer.storeNowMs - last.storeNowMs
  const allowedMs = maxGapMs(deadAfterMs)
  const whole = heardMs <= allowedMs && storeMs <= allowedMs && storeMs >= 0 && Math.abs(heardMs - storeMs) <= allowedMs
  return whole ? { since, last: answer } : { since: answer, last: answer }
}

/** For how long the judge's questions have been answered without a gap, by its own clock. */
export function uninterruptedMs(attention: Attention): number {
  if (attention.since === null || attention.last === null) return 0
  return attention.last.heardAtMs - attention.since.heardAtMs
}
