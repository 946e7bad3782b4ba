/** Several processes on one PostgreSQL: one winner per order, one taker per batch, no one waiting for ever. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../../runtime/random.ts'
import { RELEASE_REASONS } from '../../stock/core/words.ts'
import { startTestPostgres, type TestPostgres } from './conformance/test-postgres.ts'
import type { Decision, DecisionResult, Fate, FeedItem, Ledger } from './ledger.ts'
import { openLedger } from './open-ledger.ts'
import { heldOrders, saleOf } from './testing/orders.ts'

const RIVALS = 5
const ORDERS = 400
const SALES = ['east', 'west', 'north']

let server: TestPostgres
let rivals: Ledger[]

beforeAll(async () => {
  server = await startTestPostgres()
  const url = await server.database()
  // All at once, on an empty database: the migrations are applied once.
  const opened = await Promise.all(Array.from({ length: RIVALS }, async () => openLedger(url, { connectionsMax: 3 })))
  rivals = opened.map(({ ledger }) => ledger)
})
afterAll(async () => {
  for (const ledger of rivals) await ledger.close()
  await server.stop()
})

function first(): Ledger {
  const [ledger] = rivals
  if (ledger === undefined) throw new Error('no ledger')
  return ledger
}

/** Takes whatever the cursor says is next, until all are taken; returns how many batches it won. */
async function takeAll(ledger: Ledger, saleId: string, batches: number): Promise<number> {
  let won = 0
  for (let seq = 0; seq < batches;) {
    const orders = heldOrders(saleId, seq * 10, 10, await ledger.nowMs())
    const result = await ledger.take(saleId, {
      storeEra: 1,
      after: { era: 0, seq },
      upTo: { era: 0, seq: seq + 1 },
      orders,
    })
    if (result.outcome === 'taken') won += 1
    seq = result.outcome === 'moved' ? result.taken.seq : seq + 1
  }
  return won
}

/** Decides on every order of all sales, in an order and with fates of its own, in batches. */
async function decideAll(ledger: Ledger, seed: number): Promise<DecisionResult[]> {
  const random = seededRandom(seed)
  const ids = SALES.flatMap((saleId) => heldOrders(saleId, 0, ORDERS, 0).map(({ id }) => id))
  const decisions = ids
    .map((orderId): [number, Decision] => {
      const reason = RELEASE_REASONS[random.below(2)] ?? 'cancelled'
      const fate: Fate = random.below(2) === 0 ? { state: 'paid' } : { state: 'released', reason }
      return [random.next(), { orderId, fate }]
    })
    .toSorted(([a], [b]) => a - b)
    .map(([, decision]) => decision)
  const results: DecisionResult[] = []
  while (decisions.length > 0) {
    const some = decisions.splice(0, 25)
    const found = await ledger.decide(some, null)
    results.push(...found)
    await ledger.markSettled(some)
  }
  return results
}

/** Follows a sale's feed until it has seen so many changes. */
async function follow(ledger: Ledger, saleId: string, isDone: () => boolean): Promise<FeedItem[]> {
  const seen: FeedItem[] = []
  for (let wasDone = false; ;) {
    const items = await ledger.feed(saleId, seen.at(-1)?.position ?? 0, 50)
    seen.push(...items)
    if (items.length === 0 && wasDone) return seen
    wasDone = isDone()
  }
}

describe('rivals', () => {
  beforeAll(async () => {
    for (const saleId of SALES) await first().createSale(saleOf(saleId, ORDERS))
  })

  it('share the taking: each batch once, by whoever came first', async () => {
    const won = await Promise.all(
      SALES.flatMap((saleId) => rivals.map(async (ledger) => takeAll(ledger, saleId, ORDERS / 10))),
    )
    expect(won.reduce((sum, one) => sum + one, 0)).toBe((SALES.length * ORDERS) / 10)
    for (const saleId of SALES) {
      expect((await first().sale(saleId))?.fares).toMatchObject([{ held: ORDERS, paid: 0 }])
    }
  })

  it('decide on the same orders at once: one winner each, counters right, no position behind one that was read', async () => {
    let done = false
    const feeds = SALES.map(async (saleId) => follow(first(), saleId, () => done))
    const results = await Promise.all(rivals.map(async (ledger, index) => decideAll(ledger, index + 1)))
    done = true
    const wins = new Map<string, number>()
    for (const { outcome, order } of results.flat()) {
      if (outcome === 'decided') wins.set(order?.id ?? '', (wins.get(order?.id ?? '') ?? 0) + 1)
    }
    expect([...wins.values()].every((count) => count === 1)).toBe(true)
    for (const [index, saleId] of SALES.entries()) {
      const orders = await first().scanOrders(saleId, null, ORDERS + 1)
      expect(orders.filter(({ id }) => wins.has(id))).toEqual(orders.filter(({ state }) => state !== 'held'))
      const [sums] = await first().sums(saleId)
      expect((await first().sale(saleId))?.fares).toMatchObject([{ held: sums?.held, paid: sums?.paid }])
      expect(sums).toEqual({
        fareId: 'second',
        held: orders.filter(({ state }) => state === 'held').length,
        paid: orders.filter(({ state }) => state === 'paid').length,
      })
      const seen = (await feeds[index]) ?? []
      const last = new Map(seen.map(({ order }) => [order.id, order.state]))
      expect(orders.every(({ id, state }) => last.get(id) === state)).toBe(true)
    }
  })

  it('begin an era once', async () => {
    const begun = await Promise.all(rivals.map(async (ledger) => ledger.beginEra('east', 1)))
    expect(begun.map(({ outcome }) => outcome).toSorted()).toEqual([
      'begun',
      ...Array<string>(RIVALS - 1).fill('lost_race'),
    ])
    const late = await first().take('east', {
      storeEra: 1,
      after: { era: 0, seq: 40 },
      upTo: { era: 0, seq: 41 },
      orders: [],
    })
    expect(late).toEqual({ outcome: 'fenced', era: 2 })
  })
})
