/**
 * Orders that the ledger has and the store has lost. A store that is behind nothing has all of them; one that an
 * operator opened in spite of a loss has not, however far it has gone on since.
 *
 * Every order is looked for, page by page, the next page of the ledger being read while the store is asked for this
 * one: the sale is closed meanwhile, and a loss that nobody looked for would be sold over.
 */
import type { SaleSnapshot, SaleStore } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'

const PAGE = 5000

/** Reasons, empty when nothing is missing. The store must not be selling meanwhile, or be ahead of the ledger. */
export async function missingInStore(
  sale: LedgerSale,
  snapshot: SaleSnapshot,
  ledger: Pick<Ledger, 'scanOrderIds'>,
  store: Pick<SaleStore, 'readOrders'>,
): Promise<string[]> {
  const short = sale.fares.flatMap(({ fareId, held, paid }) => {
    const counters = snapshot.fares.find((fare) => fare.fareId === fareId)
    const inStore = (counters?.held ?? 0) + (counters?.paid ?? 0)
    if (inStore >= held + paid) return []
    return [`fare ${fareId}: the ledger has orders of ${held + paid} tickets, the store of ${inStore}`]
  })
  if (short.length > 0) return short
  return missingOrders(sale.definition.id, ledger, store)
}

async function missingOrders(
  saleId: string,
  ledger: Pick<Ledger, 'scanOrderIds'>,
  store: Pick<SaleStore, 'readOrders'>,
): Promise<string[]> {
  let ids = await ledger.scanOrderIds(saleId, null, PAGE)
  while (ids.length > 0) {
    const after = ids.length < PAGE ? null : (ids.at(-1) ?? null)
    const [records, next] = await Promise.all([
      store.readOrders(saleId, ids),
      after === null ? [] : ledger.scanOrderIds(saleId, after, PAGE),
    ])
    const lost = ids.filter((_, index) => records[index] === null)
    if (lost.length > 0) {
      return [`the store has no record of ${lost.length} or more orders of the ledger, ${lost[0]} among them`]
    }
    ids = next
  }
  return []
}
