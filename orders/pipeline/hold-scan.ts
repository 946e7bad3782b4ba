/**
 * Finds holds in the store that the ledger has no row of, or has ended and takes for told, and makes sure that each has its
 * row and that its fate is told again. Usually there are none: it heals what no other part of the pipeline would come by,
 * as an order whose event never reached this ledger, or a fate that an older copy in the store's place has forgotten. A
 * slow scan of all order records, page by page.
 */
import type { SaleStore } from '../../stock/port.ts'
import type { Order } from '../../stock/core/words.ts'
import type { Ledger, LedgerOrder } from '../ledger/ledger.ts'
import { readInOneEra } from './one-era.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

const BETWEEN_TURNS_MS = 200
const BETWEEN_SCANS_MS = 60_000
/** Younger ones may be on their way into the ledger. */
const SETTLED_DOWN_MS = 10_000
/** Holds in one turn: in a database in this process they take as long as a batch of new orders. */
const ASKED_AT_ONCE = 200

export interface HoldScanParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'sale' | 'orders' | 'ensure'>
  readonly store: Pick<SaleStore, 'readEvents' | 'scanOrders'>
  readonly storeNowMs: () => number | null
  /** The ledger had no room for an order of the store; see `taking.ts`. */
  readonly onOverrun: (saleId: string, storeEra: number) => void
  readonly log: PipelineLog
}

interface Page {
  readonly holds: readonly Order[]
  readonly cursor: string | null
  /** In which they were read. */
  readonly storeEra: number
}

export class HoldScan {
  readonly #parts: HoldScanParts
  readonly #patience: Patience
  #cursor = ''
  /** What is left of the page at the cursor. */
  #rest: Page | null = null

  constructor(parts: HoldScanParts) {
    this.#parts = parts
    this.#patience = new Patience(`comparing the holds of ${parts.saleId}`, parts.log)
  }

  /** Looks at some; returns how many milliseconds later to look at the next. */
  async turn(): Promise<number> {
    try {
      const waitMs = await this.#lookAtSome()
      this.#patience.wentWell()
      return waitMs
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }

  async #lookAtSome(): Promise<number> {
    const page = this.#rest ?? (await this.#readPage())
    this.#rest = null
    if (page === null) return BETWEEN_TURNS_MS
    const isDone = await this.#compare(page.holds.slice(0, ASKED_AT_ONCE), page.storeEra)
    if (!isDone) return BETWEEN_TURNS_MS
    const holds = page.holds.slice(ASKED_AT_ONCE)
    if (holds.length > 0) {
      this.#rest = { ...page, holds }
      return BETWEEN_TURNS_MS
    }
    this.#cursor = page.cursor ?? ''
    return page.cursor === null ? BETWEEN_SCANS_MS : BETWEEN_TURNS_MS
  }

  /** Null while the store is not the certified one, or not heard. */
  async #readPage(): Promise<Page | null> {
    const { saleId, ledger, store } = this.#parts
    const storeNowMs = this.#parts.storeNowMs()
    const sale = await ledger.sale(saleId)
    if (storeNowMs === null || sale === null) return null
    const read = await readInOneEra(store, saleId, sale.taken, () => store.scanOrders(saleId, this.#cursor))
    if (read === null) return null
    const { orders, cursor } = read.found
    const upToMs = storeNowMs - SETTLED_DOWN_MS
    const holds = orders.filter(({ state, createdAtMs }) => state === 'held' && createdAtMs <= upToMs)
    return { holds, cursor, storeEra: read.storeEra }
  }

  /** False when the ledger has begun another era. */
  async #compare(holds: readonly Order[], storeEra: number): Promise<boolean> {
    const { saleId, ledger, log } = this.#parts
    if (holds.length === 0) return true
    const rows = new Map((await ledger.orders(holds.map(({ id }) => id))).map((row) => [row.id, row]))
    const unlike = holds.filter(({ id }) => isUnlikeHold(rows.get(id)))
    if (unlike.length === 0) return true
    const result = await ledger.ensure(saleId, storeEra, unlike)
    if (result.outcome !== 'ensured') return false
    if (result.conflicts.length > 0) this.#parts.onOverrun(saleId, storeEra)
    // Without those put aside, which have no row for long.
    if (result.orders.length > 0)
      log.warn({ saleId, orders: result.orders.length }, 'holds of the store were made sure of in the ledger')
    return true
  }
}

/** A fate that is yet to be told is on its way to the store. */
function isUnlikeHold(row: LedgerOrder | undefined): boolean {
  return row === undefined || (row.state !== 'held' && row.isSettled)
}
