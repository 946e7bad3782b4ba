/** The timers of a process, handed in beside its {@link Clock}, so that a simulation can decide what happens next. */
export interface Timers {
  /** Runs once after so many milliseconds. */
  after(ms: number, run: () => void): void
  /** Runs again and again; returns what ends it. */
  every(ms: number, run: () => void): () => void
  /** Runs once at the end of this turn of the event loop, so that what arrived together is seen together. */
  soon(run: () => void): void
}

export const systemTimers: Timers = {
  after(ms, run) {
    setTimeout(run, ms)
  },
  every(ms, run) {
    const timer = setInterval(run, ms)
    return () => clearInterval(timer)
  },
  soon(run) {
    setImmediate(run)
  },
}

/** Resolves after so many milliseconds. */
export function delay(timers: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(ms, resolve)
  })
}
