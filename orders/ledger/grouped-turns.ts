/**
 * Turns on a database that does one thing at a time, answered in groups: whatever waits is done one after the other, then
 * one flush of the log makes all of it last, then all are answered. So many commits that wait together cost one sync,
 * and one alone costs what it always did.
 *
 * Nobody hears of anything that is not on disk: neither who wrote it, nor who read after it. Work must not wait for
 * another turn, which would wait for its group: `pglite.ts` ends a transaction that does.
 */

export interface Flushable {
  /** Something was written since the last flush. */
  readonly isUnflushed: () => boolean
  /** Throws when it cannot: then nobody knows what lasts. */
  readonly flush: () => void
}

interface Turn {
  /** Never rejects; returns how to answer. */
  readonly work: () => Promise<() => void>
  readonly fail: (error: unknown) => void
}

/** Nobody waits longer for those who come behind him, plus one turn. */
const GROUP_MS_MAX = 20

export class GroupedTurns {
  readonly #log: Flushable
  readonly #monotonicMs: () => number
  readonly #waiting: Turn[] = []
  #isBusy = false

  constructor(log: Flushable, monotonicMs: () => number) {
    this.#log = log
    this.#monotonicMs = monotonicMs
  }

  take<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        work: () =>
          work().then(
            (result) => () => resolve(result),
            (error: unknown) => () => reject(error),
          ),
        fail: reject,
      })
      if (this.#isBusy) return
      this.#isBusy = true
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Those who ask in the same round of the event loop are one group, and others are heard between the groups.
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
      await this.#runGroup()
    }
    this.#isBusy = false
  }

  async #runGroup(): Promise<void> {
    const startedMs = this.#monotonicMs()
    const done: { readonly answer: () => void; readonly fail: (error: unknown) => void }[] = []
    while (this.#monotonicMs() - startedMs < GROUP_MS_MAX) {
      const turn = this.#waiting.shift()
      if (turn === undefined) break
      done.push({ answer: await turn.work(), fail: turn.fail })
    }
    try {
      if (this.#log.isUnflushed()) this.#log.flush()
    } catch (error) {
      for (const { fail } of done) fail(error)
      return
    }
    for (const { answer } of done) answer()
  }
}
