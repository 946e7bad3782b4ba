/** The money side over HTTP, whole but for Redis: a buyer, the sandbox's page, its webhooks, the tickets. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { Identifier } from '../http/identity.ts'
import { HttpServer } from '../http/server.ts'
import { tokenSigner } from '../http/sign-token.ts'
import { systemClock } from '../runtime/clock.ts'
import { createLogger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import type { Order, SaleDefinition } from '../stock/core/words.ts'
import type { Database } from './ledger/database.ts'
import { openLedger } from './ledger/open-ledger.ts'
import type { SqlLedger } from './ledger/sql-ledger.ts'
import { MoneySide } from './money-side.ts'
import { signWebhook } from './payment/webhook-signature.ts'
import { verifyTicket, type TicketJwks } from './tickets/verify-ticket.ts'

const IDENTITY_SECRET = 'an identity secret of enough bytes'
const SANDBOX_SECRET = 'a sandbox secret of enough bytes..'
const logger = createLogger({ level: 'silent' })
const DEFINITION: SaleDefinition = {
  id: 'demo',
  name: 'Bread & <Circuses>',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 4,
  holdMs: 600_000,
  orderIdSecret: 'cd'.repeat(32),
  fares: [{ id: 'seat', name: 'Seat', price: { amount: 1200, currency: 'EUR' }, stock: 100 }],
}

let directory = ''
let database: Database
let ledger: SqlLedger
let server: HttpServer
let money: MoneySide
let url = ''

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-money-side-'))
  ;({ ledger, database } = await openLedger(`pglite://${directory}/ledger`))
  await ledger.createSale(DEFINITION)
  const identifier = new Identifier(
    { mode: 'token', secret: IDENTITY_SECRET, publicKeyPems: [], issuer: null, audience: null },
    systemClock,
    systemRandom,
  )
  const stock = createMemoryStock({ nowMs: () => systemClock.nowMs(), fingerprint: () => 'life' })
  money = new MoneySide({
    loaded: configured(),
    id: 'o1',
    ledger,
    database,
    store: stock.sales,
    rules: { buffer: { tickets: 1 }, deadAfterMs: 1000 },
    fates: { ensure: (orderId) => ledger.order(orderId) },
    settling: { settleOrders: () => Promise.resolve() },
    storeNowMs: () => systemClock.nowMs(),
    identifier,
    clock: systemClock,
    random: systemRandom,
    logger,
    metrics: new Metrics(),
    ownUrl: () => url,
  })
  server = new HttpServer({ logger, random: systemRandom, maxBodyBytes: 4096 }, money.routes)
  url = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`
  await money.start()
})
afterAll(async () => {
  await money.stop()
  await server.close(1000)
  await database.close()
  await rm(directory, { recursive: true, force: true })
})

function configured(): LoadedConfig {
  const environment = {
    FAREBOX_IDENTITY_SECRET: IDENTITY_SECRET,
    FAREBOX_PAYMENT_SANDBOX_SECRET: SANDBOX_SECRET,
    FAREBOX_DEMO_SIGN_IN: 'true',
  }
  const loaded = loadConfig({ environment })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults))
  return loaded.value
}

let orders = 0
/** A held order in the ledger. */
async function hold(buyer: string, quantity = 1): Promise<string> {
  orders += 1
  const id = String(orders).padStart(26, '0')
  const order: Order = {
    id,
    fareId: 'seat',
    quantity,
    buyer,
    state: 'held',
    reason: null,
    createdAtMs: systemClock.nowMs(),
    createdSeq: 1,
    paidAtMs: null,
    paidSeq: null,
    releasedAtMs: null,
    releasedSeq: null,
  }
  await ledger.ensure('demo', 1, [order])
  return id
}

const sign = tokenSigner(IDENTITY_SECRET, { issuer: null, audience: null })

interface Answer {
  readonly status: number
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
  readonly headers: Headers
}

async function call(
  method: string,
  path: string,
  options: { buyer?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const { buyer, body, headers = {} } = options
  const token = buyer === undefined ? {} : { authorization: `Bearer ${sign(buyer, systemClock.nowMs() + 60_000)}` }
  const response = await fetch(new URL(path, url), {
    method,
    headers: { ...headers, ...token },
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.includes('json') === true
  return {
    status: response.status,
    text,
    json: isJson ? (JSON.parse(text) as Answer['json']) : {},
    headers: response.headers,
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }

async function untilPaid(orderId: string): Promise<void> {
  const end = systemClock.monotonicMs() + 20_000
  while ((await ledger.order(orderId))?.state !== 'paid') {
    if (systemClock.monotonicMs() > end) throw new Error(`order ${orderId} was not paid`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('a buyer', () => {
  it('pays on the sandbox’s page and gets tickets that verify offline', async () => {
    const id = await hold('alice', 2)
    expect((await call('GET', `/api/orders/${id}/tickets`, { buyer: 'alice' })).json['code']).toBe('not_paid')
    const started = await call('POST', `/api/orders/${id}/payment`, { buyer: 'alice' })
    expect(started).toMatchObject({ status: 200, json: { redirectUrl: `${url}/api/payments/sandbox/pay/${id}` } })
    expect((await call('POST', `/api/orders/${id}/payment`, { buyer: 'alice' })).text).toBe(started.text)

    const page = await call('GET', `/api/payments/sandbox/pay/${id}`)
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(page.text).toContain('€24.00')
    expect(page.text).toContain('Bread &amp; &lt;Circuses&gt;')
    const pressed = await call('POST', `/api/payments/sandbox/pay/${id}`, {
      body: 'outcome=pay',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect([pressed.status, pressed.headers.get('location')]).toEqual([303, `/api/payments/sandbox/pay/${id}`])
    await untilPaid(id)

    const tickets = await call('GET', `/api/orders/${id}/tickets`, { buyer: 'alice' })
    const items = tickets.json['items'] as { code: string; qrSvg: string }[]
    const keys = (await call('GET', '/api/keys')).json as unknown as TicketJwks
    expect(items.map(({ code }) => verifyTicket(code, keys))).toMatchObject([
      { outcome: 'genuine', ticket: { saleId: 'demo', fareId: 'seat', orderId: id, seat: 1 } },
      { outcome: 'genuine', ticket: { saleId: 'demo', fareId: 'seat', orderId: id, seat: 2 } },
    ])
    expect(items[0]?.qrSvg).toContain('<svg')

    await money.rotateKeys()
    expect((await call('GET', `/api/orders/${id}/tickets`, { buyer: 'alice' })).text).toBe(tickets.text)
    const rotated = (await call('GET', '/api/keys')).json as unknown as TicketJwks
    expect(rotated.keys).toHaveLength(2)
    expect(items.map(({ code }) => verifyTicket(code, rotated).outcome)).toEqual(['genuine', 'genuine'])
    expect((await call('POST', `/api/orders/${id}/payment`, { buyer: 'alice' })).json['code']).toBe('not_held')

    await money.refund(id)
    expect((await call('GET', `/api/orders/${id}/tickets`, { buyer: 'alice' })).json['code']).toBe('not_paid')
  })

  it('meets somebody else’s order as one that is not there', async () => {
    const id = await hold('alice')
    for (const buyer of ['bob', 'alice']) {
      const path = buyer === 'bob' ? id : '0'.repeat(26).replace(/0$/, 'z')
      const answers = [
        await call('POST', `/api/orders/${path}/payment`, { buyer }),
        await call('GET', `/api/orders/${path}/tickets`, { buyer }),
      ]
      expect(answers.map(({ json }) => json['code'])).toEqual(['no_such_order', 'no_such_order'])
    }
    expect((await call('POST', `/api/orders/${id}/payment`)).status).toBe(401)
  })

  it('may be declined and try again', async () => {
    const id = await hold('alice')
    await call('POST', `/api/orders/${id}/payment`, { buyer: 'alice' })
    const press = (body: object): Promise<Answer> =>
      call('POST', `/api/payments/sandbox/pay/${id}`, { body: JSON.stringify(body), headers: JSON_TYPE })
    expect((await press({ outcome: 'decline' })).json).toMatchObject({ outcome: 'pressed', state: 'declined' })
    expect((await call('GET', `/api/payments/sandbox/pay/${id}`)).text).toContain('declined')
    expect((await press({ duplicates: 2, forged: true, wrongAmount: true, outOfOrder: true })).json).toMatchObject({
      outcome: 'pressed',
      state: 'paid',
    })
    await untilPaid(id)
    expect((await press({})).json).toEqual({ outcome: 'paid_already' })
    expect((await press({ outcome: 'steal' })).json['code']).toBe('malformed')
    expect(await money.problems('demo')).toEqual([])
  })

  it('gets a name and a token where demonstrations are wanted', async () => {
    const session = await call('POST', '/api/demo/session')
    expect(session.json['buyer']).toMatch(/^demo-[0-9a-f]{16}$/)
    const headers = { authorization: `Bearer ${String(session.json['token'])}` }
    const asked = await call('GET', `/api/orders/${'0'.repeat(26)}/tickets`, { headers })
    expect(asked.json['code']).toBe('no_such_order')
  })
})

const event = (reference: string, more: object = {}): string =>
  JSON.stringify({
    id: `evt-${reference}`,
    type: 'paid',
    reference,
    chargeId: `ch-${reference}`,
    amount: 1200,
    currency: 'EUR',
    occurredAtMs: systemClock.nowMs(),
    ...more,
  })
const post = (body: string, signature: string, provider = 'sandbox'): Promise<Answer> =>
  call('POST', `/api/payments/webhook/${provider}`, { body, headers: { 'farebox-signature': signature } })
const signed = (body: string, atMs = systemClock.nowMs()): string => signWebhook(SANDBOX_SECRET, body, atMs)

describe('a webhook over HTTP', () => {
  it('is refused with a status of its own for each fault, and the order stays held', async () => {
    const id = await hold('alice')
    await call('POST', `/api/orders/${id}/payment`, { buyer: 'alice' })
    const body = event(id)
    const cheap = event(id, { amount: 1 })
    const stray = event('nothing-of-ours')
    const answers = [
      await post(body, signWebhook('not the secret', body, systemClock.nowMs())),
      await post(body, ''),
      await post(`${body} `, signed(body)),
      await post(body, signed(body, systemClock.nowMs() - 400_000)),
      await post(cheap, signed(cheap)),
      await post(stray, signed(stray)),
      await post('{}', signed('{}')),
      await post(body, signed(body), 'nobody'),
    ]
    expect(answers.map(({ status, json }) => `${status} ${String(json['code'])}`)).toEqual([
      '400 bad_signature',
      '400 bad_signature',
      '400 bad_signature',
      '400 stale_timestamp',
      '422 wrong_amount',
      '404 no_such_payment',
      '400 malformed',
      '404 not_found',
    ])
    expect((await ledger.order(id))?.state).toBe('held')
    expect((await post(body, signed(body))).json).toEqual({ outcome: 'applied' })
    expect((await post(body, signed(body))).json).toEqual({ outcome: 'replayed' })
    expect((await ledger.order(id))?.state).toBe('paid')
  })

  it('may be longer than what a buyer sends', async () => {
    const long = event('nothing-of-ours', { more: 'x'.repeat(20_000) })
    expect((await post(long, signed(long))).json['code']).toBe('no_such_payment')
    const tooLong = event('nothing-of-ours', { more: 'x'.repeat(70_000) })
    expect((await post(tooLong, signed(tooLong))).json['code']).toBe('too_large')
  })
})
