/**
 * The two clocks of a process, handed in wherever time is needed, so that a test or a simulation can step them.
 */
export interface Clock {
  /** Milliseconds since 1970. May jump; only for showing and for comparing with times from outside. */
  nowMs(): number
  /** Milliseconds since an arbitrary start, never going back; for deadlines and durations. */
  monotonicMs(): number
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
}

/** A clock that stands still until it is moved. */
export class SteppedClock implements Clock {
  #nowMs: number
  #monotonicMs = 0

  constructor(nowMs = 1_800_000_000_000) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  /** Both clocks move on together. */
  advance(byMs: number): void {
    this.#nowMs += byMs
    this.#monotonicMs += byMs
  }
}
