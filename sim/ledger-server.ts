/**
 * The database as simulated: the ledger's twin and the acts of operators beside it, in one place that loses nothing. It
 * may be away: then nobody knows of what was asked just then whether it was done.
 */
import { MemoryActs } from '../orders/ledger/memory-acts.ts'
import { MemoryLedger } from '../orders/ledger/memory-ledger.ts'
import type { EventBatch, LedgerOrder, TakeResult, Watermark } from '../orders/ledger/ledger.ts'
import { compareVersions, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import { WALL_START_MS } from './host.ts'
import type { Kernel } from './kernel.ts'

/** A hold that was found overdue, with the clocks by which it was. */
export interface Lapse {
  readonly storeMs: number
  readonly ledgerMs: number
  readonly deadlineMs: number
}

/** The ledger, and what the world may know of it at any moment. */
export class WatchedLedger extends MemoryLedger {
  /** The highest mark that it was told; there is one sale. */
  mark: Version = VERSION_ZERO
  /** By order. */
  readonly lapses = new Map<string, Lapse>()
  /** Its cursor in the store's events; there is one sale. */
  taken: Version = VERSION_ZERO
  /** Where a page ended that was lost. */
  lostUpTo: Version | null = null
  #onPageLost: (() => void) | null = null
  readonly #now: () => number

  constructor(nowMs: () => number) {
    super({ nowMs })
    this.#now = nowMs
  }

  /** The next page with orders is acknowledged and lost, as by a database that failed over to a replica which lags. */
  loseNextPage(onLost: () => void): void {
    this.#onPageLost = onLost
  }

  override async take(saleId: string, batch: EventBatch): Promise<TakeResult> {
    const onLost = this.#onPageLost
    const isTakable = batch.storeEra === this.taken.era && compareVersions(batch.after, this.taken) === 0
    if (onLost !== null && isTakable && batch.orders.length > 0) {
      this.#onPageLost = null
      this.lostUpTo = batch.upTo
      onLost()
      return { outcome: 'taken', inserted: batch.orders.length, conflicts: [], setAside: [] }
    }
    const result = await super.take(saleId, batch)
    if (result.outcome === 'taken') this.taken = batch.upTo
    return result
  }

  override raiseWatermark(saleId: string, watermark: Watermark): Promise<void> {
    if (compareVersions(watermark.version, this.mark) > 0) this.mark = watermark.version
    return super.raiseWatermark(saleId, watermark)
  }

  override async expire(saleId: string, storeNowMs: number, limit: number): Promise<readonly LedgerOrder[]> {
    const ledgerMs = this.#now()
    const lapsed = await super.expire(saleId, storeNowMs, limit)
    for (const { id, holdExpiresAtMs } of lapsed) {
      this.lapses.set(id, { storeMs: storeNowMs, ledgerMs, deadlineMs: holdExpiresAtMs })
    }
    return lapsed
  }
}

export class LedgerServer {
  readonly ledger: WatchedLedger
  readonly acts: MemoryActs
  /** What is asked meanwhile fails. */
  isAway = false

  constructor(kernel: Kernel) {
    this.ledger = new WatchedLedger(() => Math.floor(WALL_START_MS + kernel.nowMs))
    this.acts = new MemoryActs(this.ledger)
  }
}
