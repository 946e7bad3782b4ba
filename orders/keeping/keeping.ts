/**
 * What nodes ask of the ledger with `ack: ledger`: these orders, judged in that era of the store, must stand here before
 * their buyers hear of them.
 *
 * A transaction that inserts orders holds the lock of their sale until it is on disk, so several for one sale would only
 * wait for each other, each on a connection. Here one goes after the other, and whatever the nodes ask meanwhile goes
 * together into the next. Asking again does no harm: the answer is made from the rows that are there.
 */
import { type OrderRow, ordersOfRows, rowOfOrder } from '../../http/order-rows.ts'
import { GroupedCalls, TooManyWaiting } from '../../runtime/grouped-calls.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics, PlainCounter } from '../../runtime/metrics.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { Order } from '../../stock/core/words.ts'
import type { EnsureResult, Ledger, LedgerOrder } from '../ledger/ledger.ts'

const ORDERS_PER_TRANSACTION = 1000
/** More than the ledger inserts in the time that nodes wait for it. */
const WAITING_MAX = 20_000
/** A setting of the database may change while it runs. */
const TRUST_MS = 1000

export interface KeepingParts {
  readonly ledger: Pick<Ledger, 'ensure'>
  /** Why a commit would not be on disk; see `ledger/durability.ts`. */
  readonly faults: () => Promise<readonly string[]>
  readonly monotonicMs: () => number
  readonly metrics: Metrics
  readonly log: Log
  /** The ledger had no room for an order of the store; see `pipeline/taking.ts`. */
  readonly onOverrun: (saleId: string, storeEra: number) => void
}

/** What a node hears; orders that are missing from it were put aside, and nobody may be told of them. */
export type KeepAnswer =
  | { readonly outcome: 'kept'; readonly orders: readonly OrderRow[] }
  /** The ledger's era is another. */
  | { readonly outcome: 'fenced'; readonly era: number }
  | { readonly outcome: 'no_such_sale' }

interface Sold {
  readonly saleId: string
  readonly era: number
}

type Kept = Exclude<EnsureResult, { readonly outcome: 'ensured' }> | { readonly rows: ReadonlyMap<string, LedgerOrder> }

export class Keeping {
  readonly #parts: KeepingParts
  readonly #bySale = new Map<string, GroupedCalls<Sold, Order, Kept>>()
  readonly #conflicts: PlainCounter
  #trustedUntilMs = Number.NEGATIVE_INFINITY

  constructor(parts: KeepingParts) {
    this.#parts = parts
    this.#conflicts = parts.metrics.counter(
      'farebox_keep_conflicts_total',
      'Orders that nodes asked to keep and the ledger’s stock had no room for.',
    )
    parts.metrics.gauge('farebox_keep_waiting', 'Orders of nodes that wait for the ledger.', () => this.waiting)
  }

  get waiting(): number {
    return [...this.#bySale.values()].reduce((sum, calls) => sum + calls.waiting, 0)
  }

  /** Rejects with `DatabaseError`, or `OperationError`: bad rows, too many waiting, a ledger that is not durable. */
  async keep(saleId: string, body: Readonly<Record<string, unknown>>): Promise<KeepAnswer> {
    const { era } = body
    const orders = ordersOfRows(body['orders'])
    if (orders === null || typeof era !== 'number' || !Number.isSafeInteger(era)) {
      throw new OperationError('bad_request', 'era and orders are expected')
    }
    const kept = await this.#ask({ saleId, era }, orders)
    if (!('rows' in kept)) return kept
    const rows = orders.flatMap(({ id, createdSeq }) => {
      const row = kept.rows.get(id)
      return row === undefined ? [] : [rowOfOrder({ ...row, createdSeq })]
    })
    return { outcome: 'kept', orders: rows }
  }

  async #ask(sold: Sold, orders: readonly Order[]): Promise<Kept> {
    try {
      return await this.#callsOf(sold.saleId).ask(sold, orders)
    } catch (error) {
      if (error instanceof TooManyWaiting) throw new OperationError('ledger_busy', error.message)
      throw error
    }
  }

  #callsOf(saleId: string): GroupedCalls<Sold, Order, Kept> {
    let calls = this.#bySale.get(saleId)
    if (calls === undefined) {
      calls = new GroupedCalls<Sold, Order, Kept>({
        callsMax: 1,
        itemsMax: ORDERS_PER_TRANSACTION,
        waitingMax: WAITING_MAX,
        nameOf: ({ era }) => String(era),
        call: (sold, orders) => this.#keep(sold, orders),
      })
      this.#bySale.set(saleId, calls)
    }
    return calls
  }

  async #keep({ saleId, era }: Sold, orders: readonly Order[]): Promise<Kept> {
    await this.#refuseUnlessDurable()
    const result = await this.#parts.ledger.ensure(saleId, era, orders)
    if (result.outcome !== 'ensured') return result
    if (result.conflicts.length > 0) {
      this.#conflicts.value += result.conflicts.length
      this.#parts.log.error(
        { saleId, orderIds: result.conflicts },
        'ALARM: the store sold more than the ledger’s stock',
      )
      this.#parts.onOverrun(saleId, era)
    }
    if (result.setAside.length > 0) {
      this.#parts.log.error({ saleId, orderIds: result.setAside }, 'ALARM: orders were set aside')
    }
    return { rows: new Map(result.orders.map((order) => [order.id, order])) }
  }

  async #refuseUnlessDurable(): Promise<void> {
    const nowMs = this.#parts.monotonicMs()
    if (nowMs < this.#trustedUntilMs) return
    const faults = await this.#parts.faults()
    if (faults.length > 0) {
      throw new OperationError(
        'ledger_not_durable',
        `the ledger does not keep what ack: ledger promises: ${faults.join('; ')}`,
      )
    }
    this.#trustedUntilMs = nowMs + TRUST_MS
  }
}
