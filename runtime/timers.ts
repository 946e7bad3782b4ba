/** The timers of a process, handed in beside its {@link Clock}, so that a simulation can decide what happens next. */
export interface Timers {
  /** Runs once after so many milliseconds; returns what calls it off. */
  after(ms: number, run: () => void): () => void
  /** Runs again and again; returns what ends it. */
  every(ms: number, run: () => void): () => void
  /** Runs once at the end of this turn of the event loop, so that what arrived together is seen together. */
  soon(run: () => void): void
}

export const systemTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
  every(ms, run) {
    const timer = setInterval(run, ms)
    return () => clearInterval(timer)
  },
  soon(run) {
    setImmediate(run)
  },
}

/** What `work` comes to, or a rejection with an `Error` when it takes longer than so many milliseconds; it goes on then. */
export async function within<T>(timers: Timers, ms: number, work: Promise<T>): Promise<T> {
  let callOff: (() => void) | undefined
  const late = new Promise<never>((_resolve, reject) => {
    callOff = timers.after(ms, () => reject(new Error(`no answer within ${ms} ms`)))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    callOff?.()
  }
}

/** Resolves after so many milliseconds. */
export function delay(timers: Timers, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(ms, resolve)
  })
}
