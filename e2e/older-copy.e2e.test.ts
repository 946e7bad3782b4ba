/**
 * The store loses orders: an older copy is put back, or it is emptied. What ledger and nodes still know comes back, and
 * the sale goes on by itself; what nobody can know any more is left to an operator, and named.
 */
import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buyOnce, Rush } from './client.ts'
import type { Attempt, Purchase, Wish } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { say, wishOf } from './rush.ts'
import type { Buyer } from './rush.ts'
import { dumpSale, restoreSale, withStore } from './store.ts'
import { until } from './wait.ts'

const STOCK = 100
let cluster: Cluster
let buyers: Buyer[]
/** Every purchase that was acknowledged and must be there. */
const sold: Purchase[] = []

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 3, sale: saleText({ seat: STOCK }) })
  buyers = await cluster.tokens(STOCK + 20)
})
afterAll(() => cluster.end())

/** Ten tickets to ten buyers who have none. */
async function sellTen(): Promise<Purchase[]> {
  const wishes = buyers.splice(0, 10).map((buyer) => wishOf(buyer))
  const rush = new Rush(wishes, { target: () => cluster.view.url, concurrency: 10 })
  const history = await rush.run()
  expect(rush.sold).toBe(10)
  return [...history]
}

interface Recovered {
  readonly how: string
  readonly version: { readonly era: number }
  readonly forMs: number
  readonly reasserted: number
  readonly fromJournals: number
  readonly unaccounted: readonly string[]
  readonly fares: readonly unknown[]
}

interface Status {
  readonly sales: readonly {
    readonly recovering: boolean
    readonly missing: readonly string[]
    readonly version: { readonly era: number } | null
    readonly recovered: Recovered | null
  }[]
  readonly ok: boolean
}

async function status(): Promise<Status> {
  return (await cluster.farebox('status')).json as Status
}

async function era(): Promise<number> {
  return (await status()).sales[0]?.version?.era ?? 0
}

/** The same request again: the same order, or what became of it. */
async function again(purchases: readonly Purchase[]): Promise<string[]> {
  const wrong = await Promise.all(
    purchases.map(async (purchase) => {
      const told = purchase.attempts.at(-1)?.orderId
      const attempt = await buyOnce(purchase, cluster.view.url)
      return attempt.orderId === told ? [] : [`${told}: ${attempt.status} ${attempt.code ?? attempt.orderId}`]
    }),
  )
  return wrong.flat()
}

/** Also an orders process that the emptied store does not know yet has to say how. */
function untilSelling(before: number): Promise<Recovered> {
  return until('the sale to go on by itself', async () => {
    const [sale] = (await status()).sales
    const recovered = sale?.recovered ?? null
    return sale?.recovering === false && recovered !== null && recovered.version.era > before && recovered
  })
}

/** All is back, under a new era, by itself, and the sale goes on. */
async function expectAllBack(before: number, lost: readonly Purchase[]): Promise<void> {
  const recovered = await untilSelling(before)
  sold.push(...lost)
  expect(recovered).toMatchObject({ how: 'union', unaccounted: [] })
  expect(recovered.reasserted).toBeGreaterThanOrEqual(lost.length)
  const { forMs, reasserted, fromJournals } = recovered
  say(`${reasserted} orders brought back, ${fromJournals} from nodes alone; no sale for ${Math.round(forMs)} ms`)
  sold.push(...(await sellTen()))
  expect(await again(sold)).toEqual([])
  expect(await cluster.audit()).toMatchObject({ ok: true, fares: [{ held: sold.length, diff: 0 }] })
}

it('an older copy restored in place, under running nodes: nothing is lost', async () => {
  sold.push(...(await sellTen()))
  const before = await era()
  const { url } = cluster.view.redis
  const copy = await withStore(url, dumpSale)
  const lost = await sellTen()
  await withStore(url, (redis) => restoreSale(redis, copy))
  await expectAllBack(before, lost)
})

it('emptied: nothing is lost', async () => {
  const before = await era()
  const lost = await sellTen()
  await withStore(cluster.view.redis.url, (redis) => redis.flushall())
  await expectAllBack(before, lost)
})

it('older files, and what was told since lost with its nodes and before the ledger had it: an operator decides', async () => {
  const files = join(dirname(cluster.view.redis.config), 'appendonlydir')
  const copy = join(cluster.space.root, 'copy')
  const [orders] = cluster.view.orders
  const { pid } = cluster.view.redis
  const before = await era()
  process.kill(pid, 'SIGKILL')
  await untilGone([pid])
  cpSync(files, copy, { recursive: true })
  const second = cluster.startRedis()
  await until('the sale to go on', async () => (await askAll()).every(({ orderId }) => orderId !== null))
  expect((await untilSelling(before)).how).toBe('whole')

  process.kill(orders?.pid ?? 0, 'SIGSTOP')
  const lost = await sellTen()
  for (const node of cluster.view.nodes) process.kill(node.pid, 'SIGKILL')
  await untilGone(cluster.view.nodes.map((node) => node.pid))
  second.kill('SIGKILL')
  await untilGone([second.pid ?? 0])
  rmSync(files, { recursive: true })
  cpSync(copy, files, { recursive: true })
  cluster.startRedis()
  const { url } = cluster.view.redis
  await until('Redis to answer', () =>
    withStore(url, (redis) => redis.ping()).then(
      () => true,
      () => false,
    ),
  )
  process.kill(orders?.pid ?? 0, 'SIGCONT')
  for (const { id } of cluster.view.nodes) {
    const start = await cluster.farebox('node', 'start', id)
    expect(start.code, JSON.stringify(start.json)).toBe(0)
  }

  await expectNoSale()
  expect((await cluster.farebox('sale', 'recover', 'rush')).code).toBe(2)
  await until(
    'the operator to open it',
    async () => (await cluster.farebox('sale', 'recover', 'rush', '--yes')).code === 0,
  )
  const recovered = (await status()).sales[0]?.recovered
  say(`the operator opened it: ${JSON.stringify(recovered)}`)
  expect(recovered).toMatchObject({ how: 'operator' })
  expect(recovered?.unaccounted.length).toBeGreaterThan(0)
  await until('the nodes to sell', async () => (await askAll()).every(({ orderId }) => orderId !== null))
  expect(await again(sold)).toEqual([])
  // Those ten, and no others: what README says that `ack: redis` does not survive.
  const held = (await cluster.audit()).fares[0]?.held ?? 0
  expect(held).toBe(sold.length)
  expect(lost).toHaveLength(10)
})

/** One who has a ticket asks for it again everywhere. */
function askAll(): Promise<Attempt[]> {
  const [first] = sold
  if (first === undefined) throw new Error('nothing was sold')
  return askEverywhere(first)
}

function askEverywhere(wish: Wish): Promise<Attempt[]> {
  const targets = [cluster.view.url, ...cluster.view.nodes.map(({ url }) => url)]
  return Promise.all(targets.map((target) => buyOnce(wish, target)))
}

/** A buyer asks through nginx, again and again: nobody gets a ticket, everybody hears why. */
async function expectNoSale(): Promise<void> {
  const fresh = buyers.at(-1)
  if (fresh === undefined) throw new Error('no buyer')
  const wish = wishOf(fresh)
  await until('nodes to say so', async () => (await buyOnce(wish, cluster.view.url)).code === 'recovering')
  const answers: Attempt[] = []
  for (let round = 0; round < 10; round += 1) answers.push(await buyOnce(wish, cluster.view.url))
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([503]))
  const { ok, sales } = await status()
  expect({ ok, sales }).toMatchObject({ ok: false, sales: [{ recovering: true }] })
  const missing = sales[0]?.missing.join('\n')
  expect(missing).toMatch(/the store is at era \d+ seq \d+, behind (the mark|node)|the ledger/)
  say(`missing: ${missing}`)
}
