/**
 * Forgets events behind what the ledger has committed. Nodes follow the winners through the same events, so the newest
 * are kept for a while: a node that lives is never that far behind, and one that was away reads the whole set instead.
 */
import type { Clock } from '../../runtime/clock.ts'
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

const EVERY_MS = 1000
/** Events younger than this stay. */
export const KEEP_EVENTS_MS = 60_000

export interface TrimmingParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'sale'>
  readonly store: Pick<SaleStore, 'trimEvents'>
  readonly clock: Clock
  readonly metrics: PipelineMetrics
  readonly log: PipelineLog
  readonly keepMs?: number
}

export class Trimming {
  readonly #parts: TrimmingParts
  readonly #patience: Patience
  /** Where the ledger's cursor was and when, oldest first: events up to there are at least that old. */
  #marks: { readonly atMs: number; readonly taken: Version }[] = []

  constructor(parts: TrimmingParts) {
    this.#parts = parts
    this.#patience = new Patience(`trimming ${parts.saleId}`, parts.log)
  }

  /** Returns how many milliseconds later to look again. */
  async turn(): Promise<number> {
    const { saleId, ledger, clock, keepMs = KEEP_EVENTS_MS } = this.#parts
    try {
      const sale = await ledger.sale(saleId)
      const nowMs = clock.monotonicMs()
      if (sale !== null) this.#mark(nowMs, sale.taken)
      const old = this.#marks.filter(({ atMs }) => atMs <= nowMs - keepMs)
      const upTo = old.at(-1)?.taken
      if (upTo !== undefined) await this.#trim(upTo)
      this.#marks = this.#marks.slice(old.length)
      this.#patience.wentWell()
      return EVERY_MS
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }

  #mark(atMs: number, taken: Version): void {
    const last = this.#marks.at(-1)
    if (last === undefined || compareVersions(taken, last.taken) > 0) this.#marks.push({ atMs, taken })
  }

  async #trim(upTo: Version): Promise<void> {
    const { saleId, store, metrics } = this.#parts
    if (upTo.seq === 0) return
    const reply = await store.trimEvents(saleId, upTo)
    if (reply.outcome === 'trimmed') metrics.trimmed.value += reply.events
  }
}
