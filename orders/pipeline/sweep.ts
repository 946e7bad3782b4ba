/**
 * Ends holds that have lapsed by both the ledger's and the store's clock, so that their tickets return to the sale: of
 * orders in the ledger, and of those that the database refuses. A late sweep delays the return and nothing else; so it
 * lets payments be judged first that were received before it looked.
 */
import type { SaleStore } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { certifiedEra } from './one-era.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import type { Settling } from './settling.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

const EVERY_MS = 250
const AT_A_TIME = 1000
/** Orders that the database refused are rare; they are looked at in every so many turns. */
const LETTERS_EVERY_TURNS = 8

export interface SweepParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'expire' | 'sale' | 'deadLetters' | 'retryDeadLetters' | 'releaseDeadLetters'>
  readonly store: Pick<SaleStore, 'readEvents'>
  readonly settling: Settling
  /** Null while the store's clock has not been heard. */
  readonly storeNowMs: () => number | null
  /** Resolves when every payment received until now is judged. */
  readonly judged?: () => Promise<void>
  readonly metrics: PipelineMetrics
  readonly log: PipelineLog
}

export class Sweep {
  readonly #parts: SweepParts
  readonly #patience: Patience
  #turns = 0
  #deadLetters = 0

  constructor(parts: SweepParts) {
    this.#parts = parts
    this.#patience = new Patience(`sweeping ${parts.saleId}`, parts.log)
  }

  /** Orders that the database refuses, as last counted. */
  get deadLetters(): number {
    return this.#deadLetters
  }

  /** Returns how many milliseconds later to look again. */
  async turn(): Promise<number> {
    const storeNowMs = this.#parts.storeNowMs()
    if (storeNowMs === null) return EVERY_MS
    try {
      const lapsed = await this.#expire(storeNowMs)
      if (this.#turns % LETTERS_EVERY_TURNS === 0) await this.#visitDeadLetters(storeNowMs)
      this.#turns += 1
      this.#patience.wentWell()
      return lapsed === AT_A_TIME ? 0 : EVERY_MS
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }

  async #expire(storeNowMs: number): Promise<number> {
    const { saleId, ledger, settling, metrics, judged } = this.#parts
    await judged?.()
    const lapsed = await ledger.expire(saleId, storeNowMs, AT_A_TIME)
    metrics.expired.value += lapsed.length
    await settling.settleOrders(lapsed)
    return lapsed.length
  }

  async #visitDeadLetters(storeNowMs: number): Promise<void> {
    const { saleId, ledger, settling, log, metrics } = this.#parts
    const letters = await ledger.deadLetters(saleId)
    this.#deadLetters = letters.length
    if (letters.length === 0) return
    if (letters.some(({ isDead }) => !isDead)) await this.#retry()
    const due = await ledger.releaseDeadLetters(saleId, storeNowMs, AT_A_TIME + settling.stuck)
    const released = due.filter((orderId) => !settling.isStuck(orderId))
    if (released.length === 0) return
    log.warn({ saleId, orderIds: released }, 'tickets of orders that have no row return')
    metrics.expired.value += released.length
    await settling.settle(
      saleId,
      released.map((orderId) => ({ orderId, fate: { state: 'released', reason: 'expired' }, atMs: storeNowMs })),
    )
  }

  /** The orders were read from the certified store; they may come in while it still is. */
  async #retry(): Promise<void> {
    const { saleId, ledger, store, log } = this.#parts
    const sale = await ledger.sale(saleId)
    const storeEra = sale === null ? null : await certifiedEra(store, saleId, sale.taken)
    if (storeEra === null) return
    const { inserted, died } = await ledger.retryDeadLetters(saleId, storeEra)
    if (inserted > 0) log.info({ saleId, orders: inserted }, 'orders that were set aside came in')
    if (died.length > 0) log.error({ saleId, orderIds: died }, 'ALARM: orders are dead letters')
  }
}
