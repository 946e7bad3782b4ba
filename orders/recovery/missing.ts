/**
 * What the ledger has and the store has lost: orders, and changes that an operator made. A store that is behind nothing
 * has all of them; one that an operator opened in spite of a loss has not, however far it has gone on since, nor has one
 * that lost a change before anybody saw it.
 *
 * Every order is looked for, page by page, the next page of the ledger being read while the store is asked for this
 * one: the sale is closed meanwhile, and a loss that nobody looked for would be sold over.
 */
import { stateAt } from '../../stock/core/sale-record.ts'
import { SALE_STATES } from '../../stock/core/words.ts'
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
  const known = [...lostChanges(sale, snapshot), ...short]
  if (known.length > 0) return known
  return missingOrders(sale.definition.id, ledger, store)
}

/**
 * A change that shuts the sale or lowers its stock is made in the store first, one that opens or raises in the ledger: a
 * store that sells more than the ledger allows has lost one.
 */
function lostChanges(sale: LedgerSale, { nowMs, state, fares }: SaleSnapshot): string[] {
  const ledgerState = stateAt(sale, nowMs)
  const isShut = ledgerState === 'paused' || ledgerState === 'closed'
  const isOpener = SALE_STATES.indexOf(state) < SALE_STATES.indexOf(ledgerState)
  const higher = sale.fares.flatMap(({ fareId, stock }) => {
    const inStore = fares.find((fare) => fare.fareId === fareId)?.stock ?? 0
    return inStore > stock ? [`fare ${fareId}: the ledger has a stock of ${stock}, the store of ${inStore}`] : []
  })
  return isShut && isOpener ? [`the sale is ${ledgerState} in the ledger, ${state} in the store`, ...higher] : higher
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
