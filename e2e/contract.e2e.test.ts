/** The API as section 5 of the design promises it, in its details: headers, members, waiting times, lists, origins. */
import { Value } from 'typebox/value'
import type { TSchema } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OrderListSchema, OrderSchema, ProblemSchema, SaleListSchema, SaleSchema } from '../http/schemas.ts'
import { freshKey, jsonOf, request } from './client.ts'
import type { Reply } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { say } from './rush.ts'
import { pause, until } from './wait.ts'

const ORIGIN = 'https://shop.example'
/** Long enough for a sale to be made and known, short enough to be waited for. */
const OPENS_IN_MS = 8000

let cluster: Cluster
const tokens = new Map<string, string>()

beforeAll(async () => {
  const config = `http: { allowedOrigins: ['${ORIGIN}'] }\n`
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: 3, bed: 5, many: 200 }, { limitPerBuyer: 8 }), config })
  await create(saleText({ seat: 5 }, { id: 'draft' }))
  await create(saleText({ seat: 5 }, { id: 'far', opensAt: '2099-12-31T23:59:59+01:00' }))
  for (const { buyer, token } of await cluster.tokens(60, 'b')) tokens.set(buyer, token)
  await untilKnown('far')
})
afterAll(() => cluster.end())

type Way = 'nginx' | 'n1' | 'n2'
const WAYS: readonly Way[] = ['nginx', 'n1', 'n2']

function urlOf(way: Way): string {
  return way === 'nginx' ? cluster.view.url : cluster.node(way).url
}

async function create(text: string): Promise<void> {
  await cluster.read('sale', 'create', cluster.space.file('more.yaml', text))
}

async function untilKnown(saleId: string): Promise<void> {
  await until(`every node to know ${saleId}`, async () => {
    const replies = await Promise.all(WAYS.map((way) => request(`${urlOf(way)}/api/sales/${saleId}`)))
    return replies.every(({ status }) => status === 200)
  })
}

interface Buy {
  readonly way?: Way
  readonly sale?: string
  readonly fare?: string
  readonly key?: string | null
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

async function buy(buyer: string, options: Buy = {}): Promise<Reply> {
  const { way = 'nginx', sale = 'rush', fare = 'many', key = freshKey(), body = '', headers = {} } = options
  return request(`${urlOf(way)}/api/sales/${sale}/fares/${fare}/orders`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${tokens.get(buyer) ?? ''}`,
      'Content-Length': String(body.length),
      ...(key === null ? {} : { 'Idempotency-Key': key }),
      ...headers,
    },
    body,
  })
}

function get(
  path: string,
  buyer: string | null,
  way: Way = 'nginx',
  headers: Record<string, string> = {},
): Promise<Reply> {
  const authorization = buyer === null ? {} : { Authorization: `Bearer ${tokens.get(buyer) ?? ''}` }
  return request(urlOf(way) + path, { headers: { ...authorization, ...headers } })
}

function faultsOf(schema: TSchema, reply: Reply): unknown[] {
  return [...Value.Errors(schema, jsonOf(reply))]
}

const WAITS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  all_held: [5000, 6500],
  paused: [2000, 2600],
}

/** Status, code and form; a waiting time in header and body that agree, where one is due, and else none. */
function expectProblem(reply: Reply, status: number, code: string): Readonly<Record<string, unknown>> {
  const problem = jsonOf(reply)
  expect([reply.status, problem['code']], reply.text).toEqual([status, code])
  expect(reply.headers['content-type']).toBe('application/problem+json')
  expect(faultsOf(ProblemSchema, reply)).toEqual([])
  expect(problem['requestId']).toBe(reply.headers['x-request-id'])
  const retryAfterMs = problem['retryAfterMs']
  const isDue = ['all_held', 'not_open', 'paused', 'not_picked'].includes(code) || status === 503
  if (isDue) {
    expect(retryAfterMs).toBeGreaterThanOrEqual(WAITS[code]?.[0] ?? 1)
    expect(retryAfterMs).toBeLessThanOrEqual(WAITS[code]?.[1] ?? Number.MAX_SAFE_INTEGER)
    expect(reply.headers['retry-after']).toBe(String(Math.max(1, Math.ceil(Number(retryAfterMs) / 1000))))
  } else {
    expect([retryAfterMs, reply.headers['retry-after']]).toEqual([null, undefined])
  }
  return problem
}

describe.each(WAYS)('a purchase through %s', (way) => {
  it('is an order, replayed with its key, readable at once', async () => {
    const buyer = `b${1 + WAYS.indexOf(way)}`
    const key = freshKey()
    const made = await buy(buyer, { way, key, body: '{"quantity":2,"note":"ignored"}' })
    expect(made.status).toBe(201)
    expect(faultsOf(OrderSchema, made)).toEqual([])
    expect(made.headers).toMatchObject({ 'content-type': 'application/json', 'idempotency-key': key })
    expect(made.headers['idempotency-replayed']).toBeUndefined()
    expect(made.headers['x-request-id']).toMatch(/^[A-Za-z0-9_-]{8,64}$/)
    const order = jsonOf(made)
    expect(order).toMatchObject({
      saleId: 'rush',
      fareId: 'many',
      quantity: 2,
      state: 'held',
      reason: null,
      paidAt: null,
      unitPrice: { amount: 1200, currency: 'EUR' },
      total: { amount: 2400, currency: 'EUR' },
    })
    const heldMs = Date.parse(String(order['holdExpiresAt'])) - Date.parse(String(order['createdAt']))
    expect(heldMs).toBe(600_000)

    const again = await buy(buyer, { way, key, body: '{"quantity":2}' })
    expect(again.status).toBe(200)
    expect(again.headers).toMatchObject({ 'idempotency-replayed': 'true', 'idempotency-key': key })
    expect({ ...jsonOf(again), serverTime: '' }).toEqual({ ...order, serverTime: '' })

    for (const other of WAYS) {
      const shown = await get(`/api/orders/${String(order['id'])}`, buyer, other)
      expect([shown.status, { ...jsonOf(shown), serverTime: '' }]).toEqual([200, { ...order, serverTime: '' }])
      expectProblem(await get(`/api/orders/${String(order['id'])}`, 'b9', other), 404, 'no_such_order')
    }
  })

  it('without a key gets one, with which it may be repeated', async () => {
    const buyer = `b${4 + WAYS.indexOf(way)}`
    const made = await buy(buyer, { way, key: null })
    expect([made.status, jsonOf(made)['quantity']]).toEqual([201, 1])
    const key = String(made.headers['idempotency-key'])
    expect(key).toMatch(/^[A-Za-z0-9_-]{8,64}$/)
    const again = await buy(buyer, { way, key })
    expect([again.status, jsonOf(again)['id']]).toEqual([200, jsonOf(made)['id']])
    const other = await buy(buyer, { way, key: null })
    expect(other.status).toBe(201)
    expect(other.headers['idempotency-key']).not.toBe(key)
  })

  it('of no body, whatever it is called, is one ticket', async () => {
    const buyer = `b${7 + WAYS.indexOf(way)}`
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const made = await buy(buyer, { way, headers: { 'Content-Type': type } })
      expect([made.status, jsonOf(made)['quantity']]).toEqual([201, 1])
    }
    const members = await buy(buyer, { way, body: '{}' })
    expect([members.status, jsonOf(members)['quantity']]).toEqual([201, 1])
  })

  it('with a used key and another wish is key_reused', async () => {
    const buyer = `b${10 + WAYS.indexOf(way)}`
    const key = freshKey()
    expect((await buy(buyer, { way, key })).status).toBe(201)
    expectProblem(await buy(buyer, { way, key, body: '{"quantity":2}' }), 422, 'key_reused')
    expectProblem(await buy(buyer, { way, key, fare: 'bed' }), 422, 'key_reused')
    expect((await buy(`b${13 + WAYS.indexOf(way)}`, { way, key })).status).toBe(201)
  })

  it('above the limit says what is held and what the limit is', async () => {
    const buyer = `b${16 + WAYS.indexOf(way)}`
    expect((await buy(buyer, { way, body: '{"quantity":7}' })).status).toBe(201)
    const refused = await buy(buyer, { way, body: '{"quantity":2}' })
    expect(expectProblem(refused, 409, 'limit_reached')).toMatchObject({ held: 7, limit: 8 })
    expectProblem(await buy(buyer, { way, body: '{"quantity":9}' }), 422, 'bad_quantity')
    expect((await buy(buyer, { way })).status).toBe(201)
  })
})

it('a refusal is not remembered: the same key is judged anew', async () => {
  const key = freshKey()
  expectProblem(await buy('b20', { key, fare: 'bed', body: '{"quantity":6}' }), 409, 'not_enough')
  expect((await buy('b20', { key, fare: 'bed', body: '{"quantity":1}' })).status).toBe(201)
})

it('not_enough says what remains, all_held when to come again', async () => {
  for (const way of WAYS) {
    const refused = await buy('b21', { way, fare: 'seat', body: '{"quantity":4}' })
    expect(expectProblem(refused, 409, 'not_enough')).toMatchObject({ remaining: 3 })
  }
  expect((await buy('b21', { fare: 'seat', body: '{"quantity":3}' })).status).toBe(201)
  const waits = new Set<unknown>()
  for (const way of WAYS) {
    for (let index = 0; index < 5; index += 1) {
      const problem = expectProblem(await buy('b22', { way, fare: 'seat', key: null }), 409, 'all_held')
      waits.add(problem['retryAfterMs'])
    }
  }
  expect(waits.size).toBeGreaterThan(3)
})

it('sales are listed, but no drafts', async () => {
  for (const way of WAYS) {
    const list = await get('/api/sales', null, way)
    expect([list.status, faultsOf(SaleListSchema, list)]).toEqual([200, []])
    const { items } = jsonOf(list) as { items: { id: string }[] }
    expect(items.map(({ id }) => id).toSorted()).toEqual(['far', 'rush'])
    const one = await get('/api/sales/rush', null, way)
    expect([one.status, faultsOf(SaleSchema, one)]).toEqual([200, []])
    expect(jsonOf(one)).toMatchObject({
      id: 'rush',
      state: 'open',
      recovering: false,
      limitPerBuyer: 8,
      holdSeconds: 600,
    })
    expectProblem(await get('/api/sales/draft', null, way), 404, 'no_such_sale')
    expect(expectProblem(await buy('b23', { way, sale: 'draft', fare: 'seat' }), 409, 'not_open')).toMatchObject({
      opensAt: null,
    })
  }
  await until('the seats to be shown as held', async () => {
    const shown = await Promise.all(WAYS.map(async (way) => jsonOf(await get('/api/sales/rush', null, way))))
    return shown.every((sale) => {
      const fares = sale['fares'] as { id: string; stock: number; remaining: number; availability: string }[]
      const seat = fares.find(({ id }) => id === 'seat')
      return seat?.stock === 3 && seat.remaining === 0 && seat.availability === 'all_held'
    })
  })
})

it("the buyer's own orders come in pages, newest first, and nobody else's", async () => {
  const made: string[] = []
  for (let index = 0; index < 7; index += 1) {
    made.push(String(jsonOf(await buy('b30'))['id']))
    await pause(2)
  }
  await buy('b31')
  // Also by the orders service and nodes in turn, as when the orders service goes away and comes back in between.
  for (const ways of [...WAYS.map((way) => [way]), WAYS, WAYS.toReversed()]) {
    const pages: string[][] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const way = ways[pages.length % ways.length] ?? 'nginx'
      const page: Reply = await get(`/api/orders?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`, 'b30', way)
      expect([page.status, faultsOf(OrderListSchema, page)]).toEqual([200, []])
      const { items, nextCursor } = jsonOf(page) as { items: { id: string }[]; nextCursor: string | null }
      pages.push(items.map(({ id }) => id))
      cursor = nextCursor
    }
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual(made.toReversed())
  }
  for (const way of WAYS) {
    expect(jsonOf(await get('/api/orders', 'b59', way))).toEqual({ items: [], nextCursor: null })
    // A place that a server does not know is told, where beginning again by itself would double what was read.
    expectProblem(await get('/api/sales?cursor=nope', null, way), 400, 'malformed')
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'limit=-1', 'cursor=x', `cursor=${made[0]}`]) {
      expectProblem(await get(`/api/orders?${query}`, 'b30', way), 400, 'malformed')
    }
  }
})

it('other origins: the configured one may call and read, others not', async () => {
  for (const way of WAYS) {
    const allowed = await get('/api/sales', null, way, { Origin: ORIGIN })
    expect(allowed.headers['access-control-allow-origin']).toBe(ORIGIN)
    expect(String(allowed.headers['access-control-expose-headers']).split(', ').toSorted()).toEqual([
      'Idempotency-Key',
      'Idempotency-Replayed',
      'Retry-After',
      'X-Request-Id',
    ])
    expect(allowed.headers.vary).toContain('Origin')
    const other = await get('/api/sales', null, way, { Origin: 'https://evil.example' })
    expect(other.headers['access-control-allow-origin']).toBeUndefined()
    const preflight = await request(`${urlOf(way)}/api/sales/rush/fares/many/orders`, {
      method: 'OPTIONS',
      headers: {
        Origin: ORIGIN,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,idempotency-key',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-max-age': '86400',
    })
    expect(String(preflight.headers['access-control-allow-methods'])).toContain('POST')
    expect(String(preflight.headers['access-control-allow-headers']).toLowerCase()).toContain('idempotency-key')
    const bought = await buy('b32', { way, headers: { Origin: ORIGIN } })
    expect([bought.status, bought.headers['access-control-allow-origin']]).toEqual([201, ORIGIN])
  }
})

it('health and metrics are private', async () => {
  for (const path of ['/healthz', '/readyz', '/metrics', '/state']) {
    expectProblem(await get(path, null), 404, 'not_found')
    expectProblem(await get(path, null, 'n1'), 404, 'not_found')
  }
  const { adminUrl } = cluster.node('n1')
  expect((await request(`${adminUrl}/healthz`)).status).toBe(200)
  expect((await request(`${adminUrl}/readyz`)).status).toBe(200)
  expect((await request(`${adminUrl}/metrics`)).text).toContain('farebox_')
})

it("a sale with an hour is not open before it, and opens at the second, by Redis's clock", async () => {
  const opensAtMs = (Math.floor(Date.now() / 1000) + OPENS_IN_MS / 1000) * 1000
  const opensAt = new Date(opensAtMs).toISOString()
  await create(saleText({ seat: 5 }, { id: 'later', opensAt }))
  await untilKnown('later')
  expect(Date.now(), 'the sale was made too late').toBeLessThan(opensAtMs - 500)
  for (const way of WAYS) {
    const leftMs = opensAtMs - Date.now()
    const problem = expectProblem(await buy('b40', { way, sale: 'later', fare: 'seat' }), 409, 'not_open')
    expect(problem['opensAt']).toBe(opensAt)
    expect(problem['retryAfterMs']).toBeLessThanOrEqual(Math.ceil(leftMs * 1.3) + 50)
    expect(problem['retryAfterMs']).toBeGreaterThanOrEqual(opensAtMs - Date.now() - 50)
  }
  const opened = await Promise.all(
    WAYS.map(async (way, index) => {
      const buyer = `b${41 + index}`
      let closedAtMs = 0
      const order = await until(
        `the sale to open at ${way}`,
        async () => {
          const reply = await buy(buyer, { way, sale: 'later', fare: 'seat' })
          if (reply.status === 201) return jsonOf(reply)
          expectProblem(reply, 409, 'not_open')
          closedAtMs = Date.now()
          return null
        },
        OPENS_IN_MS + 5000,
      )
      return { way, madeMs: Date.parse(String(order['createdAt'])), closedAtMs }
    }),
  )
  for (const { way, madeMs, closedAtMs } of opened) {
    say(`${way}: first order ${madeMs - opensAtMs} ms after the hour, last not_open ${closedAtMs - opensAtMs} ms`)
    expect(madeMs).toBeGreaterThanOrEqual(opensAtMs)
    expect(madeMs - opensAtMs).toBeLessThan(1000)
    expect(closedAtMs - opensAtMs).toBeLessThan(1000)
  }
})

it('paused: come again, and opened it goes on; closed: for good', async () => {
  const key = freshKey()
  expect((await buy('b50', { key })).status).toBe(201)
  await cluster.read('sale', 'pause', 'rush')
  for (const way of WAYS) {
    expectProblem(await buy('b51', { way }), 409, 'paused')
    expect((await buy('b50', { way, key })).status).toBe(200)
  }
  await cluster.read('sale', 'open', 'rush')
  await until('the sale to go on everywhere', async () => {
    const replies = await Promise.all(WAYS.map((way, index) => buy(`b${52 + index}`, { way })))
    return replies.every(({ status }) => status === 201)
  })
  await cluster.read('sale', 'close', 'rush', '--yes')
  for (const way of WAYS) {
    expectProblem(await buy('b51', { way }), 409, 'closed')
    expect((await buy('b50', { way, key })).status).toBe(200)
  }
  expect((await cluster.farebox('sale', 'open', 'rush')).code).toBe(1)
  expect((await cluster.audit()).ok).toBe(true)
})
