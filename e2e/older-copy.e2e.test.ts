/** An older copy of the store is put back: nothing is sold until an operator decides. */
import { cpSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { buyOnce, Rush } from './client.ts'
import type { Attempt, Purchase } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { say, wishOf } from './rush.ts'
import type { Buyer } from './rush.ts'
import { dumpSale, restoreSale, withStore } from './store.ts'
import { until } from './wait.ts'

const STOCK = 100
let cluster: Cluster
let buyers: Buyer[]

beforeEach(async () => {
  cluster = await Cluster.up({ nodes: 3, sale: saleText({ seat: STOCK }) })
  buyers = await cluster.tokens(60)
})
afterEach(() => cluster.end())

/** Ten tickets to ten buyers, from the given one on. */
async function sellTen(from: number): Promise<Purchase[]> {
  const wishes = buyers.slice(from, from + 10).map((buyer) => wishOf(buyer))
  const rush = new Rush(wishes, { target: () => cluster.view.url, concurrency: 10 })
  const history = await rush.run()
  expect(rush.sold).toBe(10)
  return [...history]
}

interface Status {
  readonly sales: readonly { readonly recovering: boolean; readonly missing: readonly string[] }[]
  readonly ok: boolean
}

/** The store's own record of what is left, wherever it comes from. */
async function remaining(): Promise<number> {
  const sale = await cluster.read<{ fares: { remaining: number }[] }>('sale', 'show', 'rush')
  return sale.fares[0]?.remaining ?? -1
}

/** A buyer at every node, again and again for some seconds: nobody gets a ticket, everybody hears why. */
async function expectNoSale(): Promise<void> {
  await until('every node to say so', async () => (await askEveryNode()).every(({ code }) => code === 'recovering'))
  const answers: Attempt[] = []
  for (let round = 0; round < 10; round += 1) answers.push(...(await askEveryNode()))
  expect(new Set(answers.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(['503 recovering']))
  const status = (await cluster.farebox('status')).json as Status
  expect(status).toMatchObject({ ok: false, sales: [{ recovering: true }] })
  expect(status.sales[0]?.missing.join('\n')).toMatch(/the store is at era \d+ seq \d+, behind (the mark|node)/)
  say(`missing: ${status.sales[0]?.missing.join('; ')}`)
}

async function askEveryNode(): Promise<Attempt[]> {
  const fresh = buyers[50]
  if (fresh === undefined) throw new Error('no buyer')
  const targets = [cluster.view.url, ...cluster.view.nodes.map(({ url }) => url)]
  const attempts = await Promise.all(targets.map((target) => buyOnce(wishOf(fresh), target)))
  expect(attempts.filter(({ orderId }) => orderId !== null)).toEqual([])
  return attempts
}

async function operatorDecides(): Promise<void> {
  const undecided = await cluster.farebox('sale', 'recover', 'rush')
  expect(undecided.code).toBe(2)
  const left = await remaining()
  expect((await cluster.farebox('sale', 'recover', 'rush', '--yes')).code).toBe(0)
  await sellTen(30)
  expect(await remaining()).toBe(left - 10)
  await expectLossOfTen()
  await until('all to be well', async () => (await cluster.farebox('status')).code === 0)
}

/** The store is in order with itself; the nodes, which have sold more than it knows, and the ledger say what was lost. */
async function expectLossOfTen(): Promise<void> {
  const { problems, fares } = await cluster.audit()
  expect(fares).toMatchObject([{ diff: 0 }])
  const inLedger = problems.filter(({ rule }) => rule === 'ledger_order')
  for (const { witness } of inLedger) expect(witness).toContain('the store says nothing')
  // As many as had come into the ledger when the store went.
  expect(inLedger.length).toBeLessThanOrEqual(10)
  const others = problems.filter(({ rule }) => rule !== 'ledger_order' && rule !== 'ledger_sum')
  const lost = others.map(({ rule, witness }) => {
    expect(rule).toBe('confirmed_counter')
    const [, byNode, byStore] = /confirmed (\d+) tickets, the store's record of it says (\d+)/.exec(witness) ?? []
    return Number(byNode) - Number(byStore)
  })
  expect(lost.reduce((sum, tickets) => sum + tickets, 0)).toBe(10)
}

it('as files, with Redis down', async () => {
  const files = join(dirname(cluster.view.redis.config), 'appendonlydir')
  const copy = join(cluster.space.root, 'copy')
  await sellTen(0)
  process.kill(cluster.view.redis.pid, 'SIGKILL')
  await untilGone([cluster.view.redis.pid])
  cpSync(files, copy, { recursive: true })
  const second = cluster.startRedis()
  await sellTen(10)
  second.kill('SIGKILL')
  await untilGone([second.pid ?? 0])
  rmSync(files, { recursive: true })
  cpSync(copy, files, { recursive: true })
  cluster.startRedis()
  await expectNoSale()
  expect(await remaining()).toBe(STOCK - 10)
  await operatorDecides()
})

it('in place, under running nodes', async () => {
  await sellTen(0)
  const { url } = cluster.view.redis
  const copy = await withStore(url, dumpSale)
  await sellTen(10)
  await withStore(url, (redis) => restoreSale(redis, copy))
  await expectNoSale()
  await operatorDecides()
})

it('emptied: there is nothing to recover, and nothing is sold', async () => {
  await sellTen(0)
  await withStore(cluster.view.redis.url, (redis) => redis.flushall())
  await until('every node to say so', async () => (await askEveryNode()).every(({ status }) => status === 503))
  const status = (await cluster.farebox('status')).json as Status
  expect(status.ok).toBe(false)
  expect(status.sales[0]?.missing.join()).toContain('no record of this sale')
  expect(await cluster.farebox('sale', 'recover', 'rush', '--yes')).toMatchObject({ code: 1 })
})
