/**
 * One process that takes a backlog into a ledger: `drain.js URL ORDERS`. Prints how long it took, and
 * its CPU time, after a check of the books.
 */
import { openLedger } from '../../orders/ledger/open-ledger.ts'
import type { Order } from '../../stock/core/words.ts'

const BATCH = 1000
const [url = '', count = ''] = process.argv.slice(2)
const total = Number(count)

const { ledger } = await openLedger(url)
await ledger.createSale({
  id: 'bench',
  name: 'bench',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 300_000,
  fares: [{ id: 'second', name: 'Second class', price: { amount: 55_300, currency: 'CNY' }, stock: total }],
  orderIdSecret: '5e',
})
// Ids as scattered as real ones: an index that is filled in order would be flattered.
const backlog = Array.from({ length: total }, (_, n): Order => {
  const id = ((n * 2_654_435_761) % 2 ** 32).toString(32).padStart(26, '0')
  const createdAtMs = 1_800_000_000_000 + n
  const none = { reason: null, paidAtMs: null, paidSeq: null, releasedAtMs: null, releasedSeq: null }
  return { id, fareId: 'second', quantity: 1, buyer: `b${n}`, state: 'held', createdAtMs, createdSeq: n, ...none }
})
const startedMs = performance.now()
const startedCpu = process.cpuUsage()
for (let seq = 0; seq * BATCH < total; seq += 1) {
  const orders = backlog.slice(seq * BATCH, (seq + 1) * BATCH)
  const after = { era: 0, seq }
  const { outcome } = await ledger.take('bench', { storeEra: 1, after, upTo: { era: 0, seq: seq + 1 }, orders })
  if (outcome !== 'taken') throw new Error(`batch ${seq}: ${outcome}`)
}
const tookMs = performance.now() - startedMs
const { user, system } = process.cpuUsage(startedCpu)
const [sums] = await ledger.sums('bench')
const [fare] = (await ledger.sale('bench'))?.fares ?? []
if (sums?.held !== total || fare?.held !== total) throw new Error(`${sums?.held} orders, counted ${fare?.held}`)
await ledger.close()
process.stdout.write(`${JSON.stringify({ tookMs, cpuMs: (user + system) / 1000 })}\n`)
