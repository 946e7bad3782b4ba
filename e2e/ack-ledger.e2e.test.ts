/** `ack: ledger` on PostgreSQL: nobody hears of an order that the ledger has not committed. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../orders/ledger/conformance/test-postgres.ts'
import type { Database } from '../orders/ledger/database.ts'
import { openPostgres } from '../orders/ledger/postgres.ts'
import { buyOnce, type History, Rush } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { type Buyer, judge, say, TROUBLED, wishOf } from './rush.ts'
import { type Copy, dumpSale, ORDERS, restoreSale, withStore } from './store.ts'
import { until } from './wait.ts'

const STOCK = 1500
/** Beyond the stock, and beside those who buy first. */
const BUYERS = 1900
const FIRST = 40

let server: TestPostgres
let ledger: Database
let cluster: Cluster
let buyers: Buyer[]
beforeAll(async () => {
  server = await startTestPostgres()
  const url = await server.database()
  cluster = await Cluster.up({
    nodes: 3,
    restart: true,
    sale: saleText({ seat: STOCK }),
    config: `ack: ledger\nledger: { url: '${url}' }\n`,
  })
  ledger = await openPostgres(url)
  buyers = await cluster.tokens(BUYERS)
})
afterAll(async () => {
  await cluster.end()
  await ledger.close()
  await server.stop()
})

async function stateInLedger(orderId: string | null): Promise<string | null> {
  const [row] = await ledger.query<{ state: string }>('select state from orders where id = $1', [orderId ?? ''])
  return row?.state ?? null
}

/** Orders that buyers heard of in that time, of attempts begun in it. */
function toldBetween(history: History, fromMs: number, toMs: number): string[] {
  return history.flatMap(({ attempts }) =>
    attempts.flatMap(({ orderId, invokedMs, completedMs }) =>
      orderId !== null && invokedMs > fromMs && completedMs < toMs ? [orderId] : [],
    ),
  )
}

async function held(): Promise<number> {
  return withStore(cluster.view.redis.url, (redis) => redis.hlen(ORDERS))
}

let first: History
/** Of the store, when only the first had bought. */
let copy: Copy
let whole: History

it('an order is in the ledger when its buyer hears of it, and not told before', async () => {
  const rush = new Rush(
    buyers.slice(0, FIRST).map((buyer) => wishOf(buyer)),
    { target: () => cluster.view.url },
  )
  // Whoever has this row keeps the ledger from inserting.
  const sold = await ledger.transaction(async (transaction) => {
    await transaction.query('select 1 from sales where id = $1 for update', [cluster.saleId])
    const running = rush.run()
    await until('the store to hold some of them', async () => (await held()) >= 1)
    await until('one to hear that nobody knows', () => rush.attempts >= FIRST)
    expect(rush.sold).toBe(0)
    return { running }
  })
  first = await sold.running
  expect(rush.sold).toBe(FIRST)
  const ids = first.map(({ attempts }) => attempts.at(-1)?.orderId ?? '')
  expect(await Promise.all(ids.map(stateInLedger))).toEqual(ids.map(() => 'held'))
  copy = await withStore(cluster.view.redis.url, dumpSale)
})

it('another one is there the moment its buyer hears of it', async () => {
  const [buyer] = buyers.slice(FIRST)
  if (buyer === undefined) throw new Error('no buyer')
  const wish = wishOf(buyer)
  const attempt = await buyOnce(wish, cluster.view.url)
  expect([attempt.status, await stateInLedger(attempt.orderId)]).toEqual([201, 'held'])
  first = [...first, { ...wish, attempts: [attempt] }]
})

it('without the ledger nobody hears yes, and nobody hears that it is sold out; it goes on by itself, exactly', async () => {
  const rush = new Rush(
    buyers.slice(FIRST + 1).map((buyer) => wishOf(buyer)),
    { target: () => cluster.view.url },
  )
  const running = rush.run()
  await until('some to be sold', () => rush.sold >= STOCK / 5)

  server.process().kill('SIGQUIT')
  await until('PostgreSQL to be gone', () => server.process().exitCode !== null || server.process().signalCode !== null)
  const goneMs = performance.now()
  const { attempts } = rush
  await until('many to have asked without it', () => rush.attempts > attempts + 500)
  const backMs = performance.now()
  await server.restart()
  const soldBefore = rush.sold
  await until('the sale to go on', () => rush.sold > soldBefore + 100, 30_000)
  say(`sold again ${Math.round(performance.now() - backMs)} ms after PostgreSQL was started`)

  const [orders] = cluster.view.orders
  const pid = orders?.pid ?? 0
  expect(rush.sold).toBeLessThan(STOCK - 100)
  process.kill(pid, 'SIGKILL')
  await untilGone([pid])
  const killedMs = performance.now()
  const soldAtKill = rush.sold
  await until('the sale to go on', () => rush.sold > soldAtKill + 100 || rush.isOver, 30_000)
  say(`sold again ${Math.round(performance.now() - killedMs)} ms after the orders process was killed`)

  const history = [...first, ...(await running)]
  expect(toldBetween(history, goneMs, backMs)).toEqual([])
  const answers = [...TROUBLED, '409 sold_out']
  expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers })).toEqual([])
  whole = history
})

it('a store put back to an older copy, with the nodes gone: nothing that was told is lost, nothing sold twice', async () => {
  const { redis, nodes } = cluster.view
  for (const { pid } of nodes) process.kill(pid, 'SIGKILL')
  await withStore(redis.url, (client) => restoreSale(client, copy))
  const backMs = performance.now()
  const late = wishOf(buyers[0] ?? { buyer: '', token: '' })
  await until('the sale to answer', async () => (await buyOnce(late, cluster.view.url)).code === 'all_held', 60_000)
  say(`answered again ${Math.round(performance.now() - backMs)} ms after an older copy was put back`)
  const told = whole.filter(({ attempts }) => attempts.some(({ orderId }) => orderId !== null))
  const rush = new Rush(told, { target: () => cluster.view.url })
  const again = await rush.run()
  expect(rush.sold).toBe(STOCK)
  const before = new Map(told.map((purchase) => [purchase.key, purchase.attempts]))
  const both = again.map((purchase) => ({
    ...purchase,
    attempts: [...(before.get(purchase.key) ?? []), ...purchase.attempts],
  }))
  const answers = [...TROUBLED, '409 sold_out']
  expect(await judge(cluster, both, { stock: { seat: STOCK }, limit: 2, answers })).toEqual([])
  const status = await cluster.farebox('status')
  expect(status.json).toMatchObject({ sales: [{ recovered: { how: 'union', conflicts: 0, unaccounted: [] } }] })
})
