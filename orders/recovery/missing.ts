/**
 * Orders that the ledger has and the store has lost. A store that is behind nothing has all of them; one that an
 * operator opened in spite of a loss has not, however far it has gone on since.
 */
import type { SaleSnapshot, SaleStore } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'

const PAGE = 1000
/** Beyond this many the sums have to do: a sale must not stay closed for minutes to be searched. */
const LOOK_AT_MAX = 20_000

/** Reasons, empty when nothing is missing. The store must not be selling meanwhile, or be ahead of the ledger. */
export async function missingInStore(
  sale: LedgerSale,
  snapshot: SaleSnapshot,
  ledger: Pick<Ledger, 'scanOrders'>,
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
  ledger: Pick<Ledger, 'scanOrders'>,
  store: Pick<SaleStore, 'readOrders'>,
): Promise<string[]> {
  let after: string | null = null
  for (let looked = 0; looked < LOOK_AT_MAX; looked += PAGE) {
    const rows: Awaited<ReturnType<Ledger['scanOrders']>> = await ledger.scanOrders(saleId, after, PAGE)
    const ids = rows.map(({ id }) => id)
    const records = await store.readOrders(saleId, ids)
    const lost = ids.filter((_, index) => records[index] === null)
    if (lost.length > 0)
      return [`the store has no record of ${lost.length} orders of the ledger, ${lost[0]} among them`]
    after = ids.at(-1) ?? null
    if (rows.length < PAGE) break
  }
  return []
}
