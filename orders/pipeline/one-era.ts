/**
 * Records read singly carry no era. They are of the store's present era if the store was certified for the same era
 * before and after they were read.
 */
import type { Version } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'

/** Null when the store is not the certified one, or was replaced meanwhile. `seen` is what the ledger has seen of it. */
export async function readInOneEra<T>(
  store: Pick<SaleStore, 'readEvents'>,
  saleId: string,
  seen: Version,
  read: () => Promise<T>,
): Promise<{ readonly storeEra: number; readonly found: T } | null> {
  const before = await certifiedEra(store, saleId, seen)
  if (before === null) return null
  const found = await read()
  const after = await certifiedEra(store, saleId, seen)
  return before === after ? { storeEra: before, found } : null
}

export async function certifiedEra(
  store: Pick<SaleStore, 'readEvents'>,
  saleId: string,
  seen: Version,
): Promise<number | null> {
  const page = await store.readEvents(saleId, seen, 1)
  return page?.certified === true ? page.version.era : null
}
