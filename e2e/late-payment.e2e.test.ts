/** Holds that lapse and payments that come too late, through nginx, with `latePayment: retake`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buyOnce, freshKey, jsonOf, request, type Attempt, type Reply } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { until } from './wait.ts'

const HOLD_SECONDS = 5
let cluster: Cluster
beforeAll(async () => {
  const sale = saleText({ seat: 1, last: 1 }, { limitPerBuyer: 1, holdSeconds: HOLD_SECONDS })
  cluster = await Cluster.up({ nodes: 2, sale, config: 'latePayment: retake\nquota: { share: demand }\n' })
})
afterAll(async () => cluster.end())

async function call(method: string, path: string, buyer: string, body?: object): Promise<Reply> {
  const headers = { Authorization: `Bearer ${await cluster.token(buyer)}`, 'Content-Type': 'application/json' }
  const url = new URL(path, cluster.view.url).href
  return request(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
}

async function buy(buyer: string, fareId = 'seat'): Promise<Attempt> {
  const token = await cluster.token(buyer)
  const wish = { buyer, token, key: freshKey(), saleId: 'rush', fareId, quantity: 1 }
  return buyOnce(wish, cluster.view.url)
}

/** Asks until there is a ticket. */
async function buyAtLast(buyer: string, fareId = 'seat'): Promise<string> {
  const bought = await until(`a ticket for ${buyer}`, async () => {
    const attempt = await buy(buyer, fareId)
    return attempt.status === 201 ? attempt : null
  })
  return bought.orderId ?? ''
}

async function buyAndStart(buyer: string, fareId = 'seat'): Promise<{ readonly id: string; readonly page: string }> {
  const id = await buyAtLast(buyer, fareId)
  const started = await call('POST', `/api/orders/${id}/payment`, buyer)
  expect(started.status).toBe(200)
  return { id, page: String(jsonOf(started)['redirectUrl']) }
}

async function ordersOf(buyer: string): Promise<readonly { id: string; state: string; reason: string | null }[]> {
  const { items } = jsonOf(await call('GET', '/api/orders', buyer))
  return items as { id: string; state: string; reason: string | null }[]
}

const untilLapsed = (id: string, buyer: string): Promise<unknown> =>
  until(`order ${id} to lapse`, async () =>
    (await ordersOf(buyer)).some((one) => one.id === id && one.state === 'released'),
  )

describe('a hold that nobody pays', () => {
  it('lapses, and its ticket is sold to another buyer', async () => {
    const id = await buyAtLast('alice')
    expect((await buy('bob')).code).toBe('all_held')
    await untilLapsed(id, 'alice')
    expect(jsonOf(await call('GET', `/api/orders/${id}`, 'alice'))).toMatchObject({
      state: 'released',
      reason: 'expired',
    })
    expect(jsonOf(await call('POST', `/api/orders/${id}/payment`, 'alice'))['code']).toBe('not_held')
    const second = await buyAtLast('bob')
    await untilLapsed(second, 'bob')
  })
})

describe('a payment that comes too late', () => {
  it('buys a new ticket while there is one', async () => {
    const { id, page } = await buyAndStart('carol')
    await untilLapsed(id, 'carol')
    await call('POST', page, 'carol', { outcome: 'pay' })
    const paid = await until('a new order', async () => (await ordersOf('carol')).find(({ state }) => state === 'paid'))
    expect(paid.id).not.toBe(id)
    const tickets = jsonOf(await call('GET', `/api/orders/${paid.id}/tickets`, 'carol'))['items']
    expect(tickets).toHaveLength(1)
    expect((await cluster.audit()).problems).toEqual([])
    const refunded = await call('POST', `/api/orders/${paid.id}/payment`, 'carol')
    expect(jsonOf(refunded)['code']).toBe('not_held')
  })

  it('goes back while there is none', async () => {
    const dan = await buyAndStart('dan', 'last')
    await untilLapsed(dan.id, 'dan')
    const erin = await buyAndStart('erin', 'last')
    await call('POST', erin.page, 'erin', { outcome: 'pay' })
    await until('Erin’s order to be paid', async () => (await ordersOf('erin')).some(({ state }) => state === 'paid'))
    await call('POST', dan.page, 'dan', { outcome: 'pay' })
    await until('the audit to find everything in order', async () => {
      const { ok, fares } = await cluster.audit()
      return ok && fares.every(({ paid }) => paid === 1)
    })
    expect(await ordersOf('dan')).toMatchObject([{ id: dan.id, state: 'released', reason: 'expired' }])
  })
})

describe('quota.share: demand', () => {
  it('gives the node that a crowd meets the larger share, while it sells', async () => {
    const path = cluster.space.file('crowd.yaml', saleText({ seat: 100_000 }, { id: 'crowd' }))
    await cluster.read('sale', 'create', path)
    await cluster.read('sale', 'open', 'crowd')
    const { url } = cluster.node('n1')
    const buyers = await cluster.tokens(3000)
    const weightsOf = async (): Promise<Record<string, number>> => {
      const { fares } = await cluster.read<{ fares: { nodes: { id: string; weight: number }[] }[] }>('quota', 'crowd')
      return Object.fromEntries((fares[0]?.nodes ?? []).map(({ id, weight }) => [id, weight]))
    }
    expect(await weightsOf()).toEqual({ n1: 1, n2: 1 })
    await until('the share to follow', async () => {
      for (const { buyer, token } of buyers.splice(0, 50)) {
        const wish = { buyer, token, key: freshKey(), saleId: 'crowd', fareId: 'seat', quantity: 1 }
        expect((await buyOnce(wish, url)).status).toBe(201)
      }
      const { n1 = 0, n2 = 1 } = await weightsOf()
      return n1 >= 3 * n2
    })
    expect((await cluster.audit('crowd')).problems).toEqual([])
  })
})
