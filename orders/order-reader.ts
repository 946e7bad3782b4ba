/**
 * Reads orders wherever they are: the ledger first, whose word on an order's fate counts; an order that it does not
 * have yet, or a ledger that does not answer, is read from the store. So an order is there right after its 201.
 */
import { cursorOf, type Listed, newestFirst, pageOfLists, placeOf } from '../http/order-pages.ts'
import type { Log } from '../runtime/log.ts'
import { systemTimers, type Timers, within } from '../runtime/timers.ts'
import { BUYER_ORDERS_KEPT } from '../stock/core/sale-record.ts'
import type { Order, SaleDefinition } from '../stock/core/words.ts'
import type { StockPort } from '../stock/port.ts'
import { rowOf } from './ledger/intake.ts'
import type { Ledger, LedgerOrder, Page } from './ledger/ledger.ts'
import type { SaleBook } from './sale-book.ts'

/** A buyer does not wait longer for a ledger that hangs. */
const LEDGER_WITHIN_MS = 700

export interface OrderReaderParts {
  readonly ledger: Ledger
  readonly port: StockPort
  readonly book: SaleBook
  readonly log: Log
  /** The process's own unless a simulation steps them. */
  readonly timers?: Timers
}

/** What a buyer sees of an order. */
export type ReadOrder = Omit<LedgerOrder, 'isSettled'>

export class OrderReader {
  readonly #parts: OrderReaderParts
  /** The ledger's last answer did not come, or not in time. */
  #isLedgerSilent = false
  #isTrying = false

  constructor(parts: OrderReaderParts) {
    this.#parts = parts
  }

  /** Null when neither knows it. Rejects with `StoreError` when the ledger does not have it and the store is away. */
  async find(orderId: string): Promise<ReadOrder | null> {
    const row = await this.#fromLedger((ledger) => ledger.order(orderId), null)
    return row ?? this.findInStore(orderId)
  }

  /** An id does not say its sale; there are few sales, and all are asked at once. */
  async findInStore(orderId: string): Promise<ReadOrder | null> {
    const definitions = await this.#parts.book.all()
    const found = await Promise.all(
      definitions.map(async (definition) => {
        const [order] = await this.#parts.port.sales.readOrders(definition.id, [orderId])
        return order === null || order === undefined ? null : shown(definition, order)
      }),
    )
    return found.find((one) => one !== null) ?? null
  }

  /**
   * A buyer's orders, newest first, behind a cursor of `http/order-pages.ts`. Null when the ledger is away and the store
   * does not list orders that old.
   */
  async ofBuyer(buyer: string, cursor: string | null, limit: number): Promise<Page<ReadOrder> | null> {
    const page = await this.#fromLedger<Page<ReadOrder> | null>(
      (ledger) => ledger.ordersOfBuyer(buyer, cursor, limit),
      null,
    )
    const after = cursor === null ? null : placeOf(cursor)
    const lists = await this.#ofBuyerInStore(buyer)
    if (page === null) return pageOfLists(lists, after, limit)
    const known = new Set(page.items.map(({ id }) => id))
    const last = page.nextCursor === null ? null : (page.items.at(-1) ?? null)
    // An order behind the ledger's last one on this page may be in the ledger: it is for the next page to say.
    const others = lists
      .flatMap(({ orders }) => orders)
      .filter(
        (order) =>
          !known.has(order.id) &&
          (after === null || newestFirst(order, after) > 0) &&
          (last === null || newestFirst(order, last) < 0),
      )
    const all = [...page.items, ...others].toSorted(newestFirst)
    const items = all.slice(0, limit)
    const lastItem = items.at(-1)
    const isMore = all.length > items.length || page.nextCursor !== null
    return { items, nextCursor: isMore && lastItem !== undefined ? cursorOf(lastItem) : null }
  }

  async #ofBuyerInStore(buyer: string): Promise<Listed<ReadOrder>[]> {
    const definitions = await this.#parts.book.all()
    return Promise.all(
      definitions.map(async (definition) => {
        const { orders, orderIds } = await this.#parts.port.sales.readBuyer(definition.id, buyer)
        return {
          orders: orders.map((order) => shown(definition, order)),
          isWhole: orderIds.length < BUYER_ORDERS_KEPT,
        }
      }),
    )
  }

  /**
   * While the ledger is silent one reader at a time finds out whether it still is; nobody else waits, for many do not
   * get to know more than one.
   */
  async #fromLedger<T>(ask: (ledger: Ledger) => Promise<T>, otherwise: T): Promise<T> {
    const isTrial = this.#isLedgerSilent
    if (isTrial && this.#isTrying) return otherwise
    if (isTrial) this.#isTrying = true
    try {
      const answer = await within(this.#parts.timers ?? systemTimers, LEDGER_WITHIN_MS, ask(this.#parts.ledger))
      this.#isLedgerSilent = false
      return answer
    } catch (error) {
      if (!this.#isLedgerSilent) this.#parts.log.warn({ err: error }, 'the ledger cannot be read: the store is asked')
      this.#isLedgerSilent = true
      return otherwise
    } finally {
      if (isTrial) this.#isTrying = false
    }
  }
}

function shown(definition: SaleDefinition, order: Order): ReadOrder {
  const { isSettled: _, ...read } = rowOf(definition, order)
  return read
}
