/** What becomes of an order: read at once, cancelled, lapsed; and the process that sees to it killed and held. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buyOnce, jsonOf, request, Rush } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { forEach, HEALTHY, judge, say, wishOf, type Buyer } from './rush.ts'
import { until } from './wait.ts'

let cluster: Cluster
beforeAll(async () => {
  // 'up --restart' brings the orders process back each time that it is killed.
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: 1500 }), restart: true })
  const pair = cluster.space.file('pair.yaml', saleText({ two: 2 }, { id: 'pair' }))
  await cluster.read('sale', 'create', pair)
  await cluster.read('sale', 'open', 'pair')
  const short = cluster.space.file('short.yaml', saleText({ seat: 1 }, { id: 'short', holdSeconds: 2 }))
  await cluster.read('sale', 'create', short)
  await cluster.read('sale', 'open', 'short')
})
afterAll(() => cluster.end())

function ask(path: string, { token }: Buyer, method = 'GET') {
  return request(`${cluster.view.url}${path}`, { method, headers: { Authorization: `Bearer ${token}` } })
}

async function buyer(name: string): Promise<Buyer> {
  return { buyer: name, token: await cluster.token(name) }
}

describe('an order', () => {
  it('is there right after its 201, cancelled once, and its ticket is another buyer’s', async () => {
    const [alice, bob] = [await buyer('alice'), await buyer('bob')]
    const won = await buyOnce(wishOf(alice, { saleId: 'pair', fareId: 'two', quantity: 2 }), cluster.view.url)
    expect(won.status).toBe(201)
    const path = `/api/orders/${won.orderId}`
    expect(jsonOf(await ask(path, alice))).toMatchObject({ id: won.orderId, state: 'held' })
    expect(jsonOf(await ask('/api/orders', alice))).toMatchObject({ items: [{ id: won.orderId }] })
    for (const method of ['GET', 'DELETE']) {
      const [other, unknown] = [await ask(path, bob, method), await ask(`${path.slice(0, -1)}z`, bob, method)]
      expect([other.status, unknown.status]).toEqual([404, 404])
      expect(jsonOf(other)['code']).toBe(jsonOf(unknown)['code'])
    }
    expect((await buyOnce(wishOf(bob, { saleId: 'pair', fareId: 'two' }), cluster.view.url)).code).toBe('all_held')
    for (let times = 0; times < 2; times += 1) {
      const cancelled = await ask(path, alice, 'DELETE')
      expect(cancelled.status).toBe(200)
      expect(jsonOf(cancelled)).toMatchObject({ id: won.orderId, state: 'released', reason: 'cancelled' })
    }
    await until('the ticket to be sold again', async () => {
      const { status } = await buyOnce(wishOf(bob, { saleId: 'pair', fareId: 'two', quantity: 2 }), cluster.view.url)
      return status === 201
    })
  })

  it('that is not paid lapses, and its ticket is another buyer’s, though the fare was at zero', async () => {
    const [carol, dave] = [await buyer('carol'), await buyer('dave')]
    const wish = { saleId: 'short' }
    const won = await buyOnce(wishOf(carol, wish), cluster.view.url)
    expect(won.status).toBe(201)
    expect((await buyOnce(wishOf(dave, wish), cluster.view.url)).code).toBe('all_held')
    await until('the ticket to be sold again', async () => {
      return (await buyOnce(wishOf(dave, wish), cluster.view.url)).status === 201
    })
    expect(jsonOf(await ask(`/api/orders/${won.orderId}`, carol))).toMatchObject({
      state: 'released',
      reason: 'expired',
    })
    const late = await ask(`/api/orders/${won.orderId}`, carol, 'DELETE')
    expect([late.status, jsonOf(late)['code']]).toEqual([409, 'not_held'])
  })
})

describe('the orders process', () => {
  it('killed again and again in a rush: every order is once in the ledger, and readable all the time', async () => {
    const buyers = await cluster.tokens(1800)
    const rush = new Rush(
      buyers.map((one) => wishOf(one)),
      { target: () => cluster.view.url },
    )
    const running = rush.run()
    let kills = 0
    while (!rush.isOver || kills < 3) {
      const pid = cluster.pids().get('o1') ?? 0
      process.kill(pid, 'SIGKILL')
      await untilGone([pid])
      kills += 1
      await until('another one', () => cluster.pids().get('o1') !== pid)
      await until(
        'it to be ready',
        async () => (await request(`${cluster.view.orders[0]?.adminUrl}/readyz`)).status === 200,
        60_000,
      )
    }
    const history = await running
    say(`killed ${kills} times`)
    await forEach(history.slice(0, 200), async ({ token, attempts }) => {
      const id = attempts.at(-1)?.orderId ?? null
      if (id === null) return
      expect((await ask(`/api/orders/${id}`, { buyer: '', token: token ?? '' })).status).toBe(200)
    })
    expect(await judge(cluster, history, { stock: { seat: 1500 }, limit: 2, answers: HEALTHY })).toEqual([])
    const { fares } = await cluster.audit()
    const seat = fares.find(({ id }) => id === 'seat')
    expect(seat).toMatchObject({ ledgerHeld: 1500, ledgerPending: 0, held: 1500 })
  })
})
