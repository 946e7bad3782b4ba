/** One request, one effect: sent three times to three nodes, and again after zero, after pause and after close. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { allEnded, auditAgrees, exactSale, oneOrderPerKey, onlyAnswers, tally, withinLimit } from './checkers.ts'
import { buyOnce } from './client.ts'
import type { Attempt, History, Wish } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { forEach, say, wishOf } from './rush.ts'

const STOCK = 150
const BUYERS = 200

let cluster: Cluster
let wishes: Wish[]
const heard = new Map<Wish, Attempt[]>()

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: STOCK }) })
  wishes = (await cluster.tokens(BUYERS)).map((buyer) => wishOf(buyer))
})
afterAll(() => cluster.end())

/** Each wish to three of the four nodes: at once for half of them, one after the other for the rest. */
async function sendAll(): Promise<Attempt[]> {
  const all: Attempt[] = []
  const numbered = wishes.map((wish, index) => ({ wish, index }))
  await forEach(numbered, async ({ wish, index }) => {
    const targets = [0, 1, 2].map((step) => cluster.view.nodes[(index + step) % 4]?.url ?? '')
    const attempts: Attempt[] = []
    if (index % 2 === 0) attempts.push(...(await Promise.all(targets.map((target) => buyOnce(wish, target)))))
    else for (const target of targets) attempts.push(await buyOnce(wish, target))
    heard.set(wish, [...(heard.get(wish) ?? []), ...attempts])
    all.push(...attempts)
  })
  return all
}

function history(): History {
  return [...heard].map(([wish, attempts]) => ({ ...wish, attempts }))
}

function winners(): Set<string> {
  return new Set(history().flatMap(({ attempts }) => attempts.flatMap(({ orderId }) => orderId ?? [])))
}

it('three times to three nodes, and once more after zero', async () => {
  const first = await sendAll()
  expect(first).toHaveLength(3 * BUYERS)
  expect(winners().size).toBe(STOCK)
  const again = await sendAll()
  expect(again.filter(({ orderId }) => orderId !== null)).toHaveLength(3 * STOCK)
  expect(again.every(({ status, replayed }) => status !== 201 && replayed === (status === 200))).toBe(true)
})

it.each([
  ['pause', 'paused'],
  ['close', 'closed'],
] as const)('after %s winners hear their order, all others %s', async (change, code) => {
  await cluster.read('sale', change, 'rush', ...(change === 'close' ? ['--yes'] : []))
  const again = await sendAll()
  expect(again.filter(({ orderId }) => orderId !== null)).toHaveLength(3 * STOCK)
  // A node may still say from before, for as long as it may remember: then the store is what all will hear.
  const refusals = new Set(again.flatMap((attempt) => attempt.code ?? []))
  expect(refusals).toEqual(new Set([code]))
})

it('one order each, the same id each time', async () => {
  const all = history()
  say(`heard ${JSON.stringify(tally(all))}`)
  expect([
    ...exactSale(all, { seat: STOCK }),
    ...withinLimit(all, 1),
    ...oneOrderPerKey(all),
    ...allEnded(all),
    ...onlyAnswers(all, ['201', '200', '409 all_held', '409 paused', '409 closed']),
    ...auditAgrees(all, await cluster.audit()),
  ]).toEqual([])
})
