/**
 * Webhooks that are not believed: anybody can send them, as many as they like, so each costs an addition and at most a
 * log line; the sums reach the books now and then.
 */
import type { WebhookRefusal } from './provider.ts'

export interface DistrustCount {
  readonly provider: string
  readonly why: WebhookRefusal
  /** Of the newest. */
  readonly detail: string
  readonly times: number
}

const LINES_PER_SECOND = 10

export class Distrust {
  readonly #counts = new Map<string, DistrustCount>()
  #secondBeganMs = Number.NEGATIVE_INFINITY
  #lines = 0

  /** True when this one may be logged: ten in a second are. */
  add(provider: string, why: WebhookRefusal, detail: string, nowMs: number): boolean {
    this.putBack({ provider, why, detail, times: 1 })
    if (nowMs - this.#secondBeganMs >= 1000) {
      this.#secondBeganMs = nowMs
      this.#lines = 0
    }
    this.#lines += 1
    return this.#lines <= LINES_PER_SECOND
  }

  /** Everything counted since the last time. */
  take(): readonly DistrustCount[] {
    const counts = [...this.#counts.values()]
    this.#counts.clear()
    return counts
  }

  putBack(count: DistrustCount): void {
    const key = `${count.why} ${count.provider}`
    const known = this.#counts.get(key)
    this.#counts.set(key, { ...count, times: count.times + (known?.times ?? 0) })
  }
}
