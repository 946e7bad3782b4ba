/**
 * Finds holds in the store that are long overdue, and makes sure that the ledger has their rows, from where the sweep
 * ends them. Usually there are none: it heals what no other part of the pipeline would come by, as an order whose event
 * never reached this ledger. A slow scan of all order records, page by page.
 */
import type { SaleStore } from '../../stock/port.ts'
import type { Order } from '../../stock/core/words.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { readInOneEra } from './one-era.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

const BETWEEN_PAGES_MS = 200
const BETWEEN_SCANS_MS = 60_000
/** The sweep ends a hold at its deadline; what is overdue by this much it has not come by. */
const OVERDUE_MS = 10_000

export interface OverdueParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'sale' | 'ensure'>
  readonly store: Pick<SaleStore, 'readEvents' | 'scanOrders'>
  readonly storeNowMs: () => number | null
  /** The ledger had no room for an order of the store; see `taking.ts`. */
  readonly onOverrun: (saleId: string, storeEra: number) => void
  readonly log: PipelineLog
}

export class OverdueScan {
  readonly #parts: OverdueParts
  readonly #patience: Patience
  #cursor = ''

  constructor(parts: OverdueParts) {
    this.#parts = parts
    this.#patience = new Patience(`looking for overdue holds of ${parts.saleId}`, parts.log)
  }

  /** Looks at one page; returns how many milliseconds later to look at the next. */
  async turn(): Promise<number> {
    try {
      const waitMs = await this.#lookAtPage()
      this.#patience.wentWell()
      return waitMs
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }

  async #lookAtPage(): Promise<number> {
    const { saleId, ledger, store, log } = this.#parts
    const storeNowMs = this.#parts.storeNowMs()
    const sale = await ledger.sale(saleId)
    if (storeNowMs === null || sale === null) return BETWEEN_PAGES_MS
    const read = await readInOneEra(store, saleId, sale.taken, () => store.scanOrders(saleId, this.#cursor))
    if (read === null) return BETWEEN_PAGES_MS
    const page = read.found
    const upToMs = storeNowMs - sale.definition.holdMs - OVERDUE_MS
    const overdue = page.orders.filter((order) => isOverdue(order, upToMs))
    if (overdue.length > 0) {
      const result = await ledger.ensure(saleId, read.storeEra, overdue)
      if (result.outcome !== 'ensured') return BETWEEN_PAGES_MS
      if (result.conflicts.length > 0) this.#parts.onOverrun(saleId, read.storeEra)
      log.warn({ saleId, orders: overdue.length }, 'overdue holds were made sure of in the ledger')
    }
    this.#cursor = page.cursor ?? ''
    return page.cursor === null ? BETWEEN_SCANS_MS : BETWEEN_PAGES_MS
  }
}

function isOverdue({ state, createdAtMs }: Order, upToMs: number): boolean {
  return state === 'held' && createdAtMs <= upToMs
}
