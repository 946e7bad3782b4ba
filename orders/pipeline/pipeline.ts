/**
 * The way of orders from the store to the ledger, and of their fates back, for every sale that the ledger knows.
 *
 * Per sale five kinds of work take turns side by side: taking, reconciling, sweeping, comparing holds and trimming. All
 * they know lies in ledger and store, so any process may do any of it, several at a time, and one that dies leaves
 * nothing behind.
 */
import type { Clock } from '../../runtime/clock.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Timers } from '../../runtime/timers.ts'
import type { SaleStore } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { Fates } from './fates.ts'
import { HoldScan } from './hold-scan.ts'
import { PipelineMetrics, type TakingLevel } from './pipeline-metrics.ts'
import { Reconciler } from './reconcile.ts'
import { Settling } from './settling.ts'
import { Sweep } from './sweep.ts'
import { Taking, type TakingParts } from './taking.ts'
import { Trimming } from './trimming.ts'
import { Patience } from './trouble.ts'
import { type PipelineLog, takeTurns, type Turns } from './turns.ts'

const LOOK_FOR_SALES_MS = 500

export interface PipelineParts {
  readonly ledger: Ledger
  readonly store: SaleStore
  readonly clock: Clock
  /** The store's clock as last heard, never ahead of it; null before it was. */
  readonly storeNowMs: () => number | null
  readonly metrics: Metrics
  readonly log: PipelineLog
  /** The store is not the one that the ledger knows. Called again and again while it lasts. */
  readonly onRecovering: TakingParts['onRecovering']
  /** The store sold more than the ledger has room for. */
  readonly onOverrun: TakingParts['onOverrun']
  /** Resolves when every payment received until now is judged: no hold lapses before. */
  readonly judged?: () => Promise<void>
  /** Events younger than this are not trimmed. */
  readonly keepEventsMs?: number
  /** The process's own unless a simulation steps them. */
  readonly timers?: Timers
}

interface SaleWork {
  readonly taking: Taking
  readonly sweep: Sweep
  readonly turns: readonly Turns[]
}

export class Pipeline {
  readonly fates: Fates
  readonly settling: Settling
  readonly #parts: PipelineParts
  readonly #metrics: PipelineMetrics
  readonly #patience: Patience
  readonly #sales = new Map<string, SaleWork>()
  #looking: Turns | null = null

  constructor(parts: PipelineParts) {
    this.#parts = parts
    const { ledger, store, clock, log, storeNowMs, onOverrun } = parts
    this.#metrics = new PipelineMetrics(parts.metrics, () => this.levels())
    this.#patience = new Patience('looking for sales', log)
    this.settling = new Settling({ ledger, store, clock, metrics: this.#metrics, log })
    this.fates = new Fates({ ledger, store, settling: this.settling, storeNowMs, onOverrun })
  }

  start(): void {
    const { log, timers } = this.#parts
    this.#looking = takeTurns('looking for sales', () => this.#lookForSales(), log, timers)
  }

  /** Ends after the work under way; what is left is done by whoever comes next. */
  async stop(): Promise<void> {
    await this.#looking?.stop()
    await Promise.all([...this.#sales.values()].flatMap(({ turns }) => turns.map((turn) => turn.stop())))
    this.#sales.clear()
  }

  /** Orders that this process has brought into the ledger. */
  get taken(): number {
    return this.#metrics.taken.value
  }

  /** How far each sale's orders have come. */
  levels(): TakingLevel[] {
    return Array.from(this.#sales, ([saleId, { taking, sweep }]) => ({
      saleId,
      ...taking.level,
      deadLetters: sweep.deadLetters,
    }))
  }

  async #lookForSales(): Promise<number> {
    try {
      for (const { definition } of await this.#parts.ledger.sales()) {
        if (!this.#sales.has(definition.id)) this.#sales.set(definition.id, this.#startWork(definition.id))
      }
      this.#patience.wentWell()
      return LOOK_FOR_SALES_MS
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }

  #startWork(saleId: string): SaleWork {
    const { log, keepEventsMs, timers } = this.#parts
    const common = { ...this.#parts, saleId, settling: this.settling, metrics: this.#metrics }
    const taking = new Taking(common)
    const sweep = new Sweep(common)
    const trimming = new Trimming({ ...common, ...(keepEventsMs === undefined ? {} : { keepMs: keepEventsMs }) })
    const work = { taking, sweep, trimming, reconciler: new Reconciler(common), holds: new HoldScan(common) }
    const turns = Object.entries(work).map(([name, one]) =>
      takeTurns(`${name} of ${saleId}`, () => one.turn(), log, timers),
    )
    return { taking, sweep, turns }
  }
}
