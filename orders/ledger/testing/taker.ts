/**
 * A process that takes batch after batch and says so after each, until it is killed: `taker.js URL SALE`. Which orders
 * are in a batch follows from its number, which is the cursor's seq.
 */
import { writeSync } from 'node:fs'
import { openLedger } from '../open-ledger.ts'
import { heldOrders, saleOf } from './orders.ts'

export const BATCH = 100
export const STOCK = 1_000_000

const [url = '', saleId = ''] = process.argv.slice(2)
if (url !== '' && process.argv[1]?.endsWith('taker.js') === true) {
  const { ledger } = await openLedger(url)
  const { sale } = await ledger.createSale(saleOf(saleId, STOCK))
  for (let { seq } = sale.taken; ; seq += 1) {
    const batch = heldOrders(saleId, seq * BATCH, BATCH, 1_800_000_000_000)
    const version = { era: 0, seq: seq + 1 }
    await ledger.take(saleId, { storeEra: 1, after: { era: 0, seq }, upTo: version, orders: batch })
    // At once, not through a buffer that would die with us.
    writeSync(1, `${seq + 1}\n`)
  }
}
