/**
 * The acts on one order: paying, cancelling, ending; refunding is the cashier's, since money goes with it. Each first
 * makes sure of the order's row, then asks the ledger for the fate (of several that race exactly one wins there), and
 * tells the store at once.
 */
import type { Version } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import type { DecisionResult, Fate, Ledger, LedgerOrder } from '../ledger/ledger.ts'
import { readInOneEra } from './one-era.ts'
import type { Settling } from './settling.ts'

export interface FatesParts {
  readonly ledger: Pick<Ledger, 'order' | 'ensure' | 'decide' | 'sales'>
  readonly store: Pick<SaleStore, 'readOrders' | 'readEvents'>
  readonly settling: Settling
  /** The store's clock as last heard, never ahead of it; null before it was. */
  readonly storeNowMs: () => number | null
  /** The ledger had no room for an order of the store; see `taking.ts`. */
  readonly onOverrun: (saleId: string, storeEra: number) => void
}

/** `recovering`: the order is only in a store that is not the certified one; ask again. */
export type FateResult = DecisionResult | { readonly outcome: 'recovering'; readonly order: null }

export class Fates {
  readonly #parts: FatesParts

  constructor(parts: FatesParts) {
    this.#parts = parts
  }

  pay(orderId: string): Promise<FateResult> {
    return this.decide(orderId, { state: 'paid' })
  }

  cancel(orderId: string): Promise<FateResult> {
    return this.decide(orderId, { state: 'released', reason: 'cancelled' })
  }

  expire(orderId: string): Promise<FateResult> {
    return this.decide(orderId, { state: 'released', reason: 'expired' })
  }

  /** Rejects with `DatabaseError` (nothing may have happened: repeat), or `StoreError` when the row is missing. */
  async decide(orderId: string, fate: Fate): Promise<FateResult> {
    const { ledger, storeNowMs } = this.#parts
    const decide = async (): Promise<DecisionResult> => {
      const [result] = await ledger.decide([{ orderId, fate }], storeNowMs())
      return result ?? { outcome: 'no_such_order', order: null }
    }
    let result = await decide()
    if (result.outcome === 'no_such_order') {
      const ensured = await this.ensure(orderId)
      if (ensured === 'recovering') return { outcome: 'recovering', order: null }
      if (ensured !== null) result = await decide()
    }
    await this.settle(result)
    return result
  }

  /**
   * The order's row, made from the store's record when the ledger has not taken it yet; null when nobody knows the
   * order. For those who decide in a transaction of their own.
   */
  async ensure(orderId: string): Promise<LedgerOrder | 'recovering' | null> {
    const row = await this.#parts.ledger.order(orderId)
    if (row !== null) return row
    const sales = await this.#parts.ledger.sales()
    for (const { definition, taken } of sales) {
      const ensured = await this.#ensureFrom(definition.id, taken, orderId)
      if (ensured !== null) return ensured
    }
    return null
  }

  /** Tells the store a fate that was decided, in whichever transaction; to be called after its commit. */
  async settle(result: Pick<DecisionResult, 'outcome' | 'order'>): Promise<void> {
    const { outcome, order } = result
    if (order === null || order.isSettled) return
    if (outcome === 'decided' || outcome === 'already') await this.#parts.settling.settleOrders([order])
  }

  async #ensureFrom(saleId: string, taken: Version, orderId: string): Promise<LedgerOrder | 'recovering' | null> {
    const { ledger, store } = this.#parts
    const [record] = await store.readOrders(saleId, [orderId])
    if (record === null || record === undefined) return null
    const read = await readInOneEra(store, saleId, taken, () => store.readOrders(saleId, [orderId]))
    const records = read?.found.filter((one) => one !== null) ?? []
    if (read === null || records.length === 0) return 'recovering'
    const result = await ledger.ensure(saleId, read.storeEra, records)
    if (result.outcome !== 'ensured') return 'recovering'
    if (result.conflicts.length > 0) this.#parts.onOverrun(saleId, read.storeEra)
    return ledger.order(orderId)
  }
}
