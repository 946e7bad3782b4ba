/**
 * Takes one sale's orders from the store's events into the ledger.
 *
 * Intuition: a clerk copies a logbook into the ledger, page by page, and writes the number of the last line copied in
 * the same stroke as the lines themselves. Whoever comes after a crash goes on from that number; of two clerks with the
 * same page one finds that the number has moved, and goes on from there.
 *
 * Contract: the cursor is the ledger's own and moves in the transaction that inserts, so each order comes in once,
 * whatever dies when. A batch carries the era of the store it was read from; the ledger refuses another era than its
 * own. While one page is being committed the next one is read, and no more than that. Nothing is given up for trouble.
 */
import type { Clock } from '../../runtime/clock.ts'
import { compareVersions, type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import type { EventsPage, SaleStore } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { certifiedEra } from './one-era.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

/** Most orders in one transaction, while there is a backlog. */
const BATCH_MAX = 1000
/** A batch is committed after so many orders, or after so long, whichever comes first. */
const BATCH_ORDERS = 100
const BATCH_MS = 100
/** A sale in which nothing was bought for so long is looked at less often: there may be many old ones. */
const QUIET_AFTER_MS = 30_000
const QUIET_WAIT_MS = 500
/** Orders may come faster than this between two looks; they then make a larger batch. */
const SHORTEST_WAIT_MS = 10
/** While the store is not the certified one. */
const RECOVERING_WAIT_MS = 250
/** Changes that made no order move the cursor this often, so that their events can be trimmed. */
const EMPTY_BATCH_MS = 1000

export type WhyRecovering = 'fenced' | 'not_certified' | 'missing'

export interface TakingParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'sale' | 'take' | 'ensure'>
  readonly store: Pick<SaleStore, 'readEvents' | 'scanOrders'>
  readonly clock: Clock
  readonly metrics: PipelineMetrics
  readonly log: PipelineLog
  /** The store is not the one that the ledger knows: somebody has to recover the sale. Called again while it lasts. */
  readonly onRecovering: (saleId: string, why: WhyRecovering) => void
  /** The store gave holds that the ledger had no room for: its counters are not what its orders come to. */
  readonly onOverrun: (saleId: string, storeEra: number) => void
}

export class Taking {
  readonly #parts: TakingParts
  readonly #patience: Patience
  /** The ledger's cursor; null until it was asked, and after anything that leaves it in doubt. */
  #taken: Version | null = null
  /** The same as last known, for showing. */
  #shownTaken: Version = VERSION_ZERO
  /** Events up to here have been read: beyond the cursor only by changes that made no order. */
  #readTo: Version | null = null
  #committedMs = Number.NEGATIVE_INFINITY
  #lastOrdersMs: number
  #ahead: Promise<EventsPage | null> | null = null
  #latest: { readonly page: EventsPage; readonly heardMs: number } | null = null
  /** When the oldest order came into being that is read and not taken; by the store's clock. */
  #oldestMs: number | null = null

  constructor(parts: TakingParts) {
    this.#parts = parts
    this.#lastOrdersMs = parts.clock.monotonicMs()
    this.#patience = new Patience(`taking ${parts.saleId}`, parts.log)
  }

  /** How many changes of the store, and what age, the oldest order has that was read and not taken. */
  get level(): { readonly behind: number; readonly lagMs: number } {
    if (this.#latest === null || this.#oldestMs === null) return { behind: 0, lagMs: 0 }
    const { page, heardMs } = this.#latest
    const { era, seq } = page.version
    const storeNowMs = page.nowMs + this.#parts.clock.monotonicMs() - heardMs
    return {
      behind: era === this.#shownTaken.era ? seq - this.#shownTaken.seq : seq,
      lagMs: Math.max(storeNowMs - this.#oldestMs, 0),
    }
  }

  /** Takes one batch; returns how many milliseconds later to go on. */
  async turn(): Promise<number> {
    try {
      const waitMs = await this.#takeOne()
      this.#patience.wentWell()
      return waitMs
    } catch (error) {
      this.#startOver()
      return this.#patience.waitAfter(error)
    }
  }

  async #takeOne(): Promise<number> {
    const taken = this.#taken ?? (await this.#askLedger())
    if (taken === null) return RECOVERING_WAIT_MS
    const page = await this.#nextPage(this.#readTo ?? taken)
    if (page === null) return this.#raise('missing')
    this.#latest = { page, heardMs: this.#parts.clock.monotonicMs() }
    if (!page.certified) return this.#raise('not_certified')
    if (page.lost) return this.#takeAll(taken, page)
    if (page.orders.length > 0) this.#lastOrdersMs = this.#latest.heardMs
    if (page.orders.length === 0 && page.complete && !this.#isEmptyBatchDue(page)) return this.#waitForMore()
    this.#oldestMs = page.orders[0]?.createdAtMs ?? null
    if (!page.complete) this.#lookAhead(page.upTo)
    return this.#commit(taken, page)
  }

  async #askLedger(): Promise<Version | null> {
    const sale = await this.#parts.ledger.sale(this.#parts.saleId)
    if (sale !== null) this.#goOnFrom(sale.taken)
    return this.#taken
  }

  #nextPage(after: Version): Promise<EventsPage | null> {
    const ahead = this.#ahead
    this.#ahead = null
    return ahead ?? this.#read(after)
  }

  #read(after: Version): Promise<EventsPage | null> {
    return this.#parts.store.readEvents(this.#parts.saleId, after, BATCH_MAX)
  }

  #lookAhead(after: Version): void {
    this.#ahead = this.#read(after)
    // Whoever awaits it hears of the error; until then nobody may.
    this.#ahead.catch(() => {})
  }

  #waitForMore(): number {
    const quietMs = this.#parts.clock.monotonicMs() - this.#lastOrdersMs
    return quietMs < QUIET_AFTER_MS ? BATCH_MS : QUIET_WAIT_MS
  }

  /** Has the cursor lain behind changes without orders for a while? Notes how far they were read. */
  #isEmptyBatchDue(page: EventsPage): boolean {
    this.#oldestMs = null
    this.#readTo = page.upTo
    const isBehind = this.#taken !== null && compareVersions(page.upTo, this.#taken) > 0
    return isBehind && this.#parts.clock.monotonicMs() - this.#committedMs >= EMPTY_BATCH_MS
  }

  async #commit(after: Version, page: EventsPage): Promise<number> {
    const { saleId, ledger, clock } = this.#parts
    const { orders, upTo } = page
    const result = await ledger.take(saleId, { storeEra: page.version.era, after, upTo, orders })
    switch (result.outcome) {
      case 'taken':
        this.#goOnFrom(upTo)
        this.#committedMs = clock.monotonicMs()
        if (page.complete) this.#oldestMs = null
        this.#count(result, page.version.era)
        if (!page.complete) return 0
        return orders.length === 0 ? this.#waitForMore() : waitAfterBatch(orders.length)
      case 'moved':
        // Another process took them. What was read ahead may not follow on from where it is now.
        this.#startOver()
        this.#goOnFrom(result.taken)
        return SHORTEST_WAIT_MS
      case 'fenced':
        this.#parts.metrics.fenced.value += 1
        return this.#raise('fenced')
      case 'no_such_sale':
        this.#startOver()
        return RECOVERING_WAIT_MS
    }
  }

  /**
   * Events were trimmed before this ledger had them, as with a ledger restored from an older copy: every order record
   * is read instead, and then events are followed from the version that was noted first.
   */
  async #takeAll(taken: Version, noted: EventsPage): Promise<number> {
    const { saleId, ledger, store, log } = this.#parts
    const storeEra = noted.version.era
    log.warn({ saleId, taken, noted: noted.version }, 'events are missing: reading every order')
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: Awaited<ReturnType<SaleStore['scanOrders']>> = await store.scanOrders(saleId, cursor)
      const result = await ledger.ensure(saleId, storeEra, page.orders)
      if (result.outcome !== 'ensured') return this.#raise('fenced')
      this.#tellConflicts(result.conflicts, storeEra)
      cursor = page.cursor
    }
    // The fence is on the era in which reading began; if the store was replaced meanwhile its era is another now.
    if ((await certifiedEra(store, saleId, noted.version)) !== storeEra) return this.#raise('not_certified')
    const result = await ledger.take(saleId, { storeEra, after: taken, upTo: noted.version, orders: [] })
    if (result.outcome === 'fenced') return this.#raise('fenced')
    this.#startOver()
    return 0
  }

  #goOnFrom(version: Version): void {
    this.#taken = version
    this.#shownTaken = version
    this.#readTo = version
  }

  #startOver(): void {
    this.#taken = null
    this.#readTo = null
    this.#ahead = null
  }

  #raise(why: WhyRecovering): number {
    this.#startOver()
    this.#parts.onRecovering(this.#parts.saleId, why)
    return RECOVERING_WAIT_MS
  }

  #tellConflicts(orderIds: readonly string[], storeEra: number): void {
    if (orderIds.length === 0) return
    const { saleId, metrics, log, onOverrun } = this.#parts
    metrics.conflicts.value += orderIds.length
    log.error({ saleId, orderIds }, 'ALARM: the store sold more than the ledger’s stock')
    onOverrun(saleId, storeEra)
  }

  #count(
    result: { inserted: number; conflicts: readonly string[]; setAside: readonly string[] },
    storeEra: number,
  ): void {
    const { metrics, log, saleId } = this.#parts
    metrics.batches.value += 1
    metrics.taken.value += result.inserted
    metrics.setAside.value += result.setAside.length
    this.#tellConflicts(result.conflicts, storeEra)
    if (result.setAside.length > 0) log.error({ saleId, orderIds: result.setAside }, 'ALARM: orders were set aside')
  }
}

/** About the time in which as many orders gather as are worth a transaction. */
function waitAfterBatch(orders: number): number {
  return Math.max(SHORTEST_WAIT_MS, Math.min(BATCH_MS, Math.floor((BATCH_MS * BATCH_ORDERS) / Math.max(orders, 1))))
}
