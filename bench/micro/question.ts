/** One question about one part, answered in nanoseconds; each stands in a file of its own in this room. */

export interface Task {
  readonly name: string
  /** What one call of {@link run} does, many times where one is too short to time. */
  readonly run: () => void | Promise<void>
  /** How many of the things asked about one call does. */
  readonly timesPerCall: number
}

export interface Question {
  readonly name: string
  /** In one sentence, as a reader asks it. */
  readonly asks: string
  /** Makes what the tasks need; `directory` is for files of processes, and is removed afterwards. */
  prepare(directory: string): Promise<{ readonly tasks: readonly Task[]; readonly end: () => Promise<void> }>
}

/** `times` calls of `once` as one timed call: a clock's own cost would drown a single one. */
export function many(name: string, times: number, once: (n: number) => void): Task {
  return {
    name,
    timesPerCall: times,
    run() {
      for (let n = 0; n < times; n += 1) once(n)
    },
  }
}

export const nothingToEnd = async (): Promise<void> => {}
