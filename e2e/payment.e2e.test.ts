/** From the purchase to the gate, through nginx: pay in the sandbox, get tickets, verify them offline, be refunded. */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { buyOnce, freshKey, jsonOf, request, type Reply } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { until } from './wait.ts'

let cluster: Cluster
const tokens = new Map<string, string>()
beforeAll(async () => {
  const config = 'demo: { signIn: true }\n'
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: 20 }, { limitPerBuyer: 4 }), config })
})
afterAll(async () => cluster.end())

async function call(method: string, path: string, buyer: string | null, body?: string, type?: string): Promise<Reply> {
  const headers: Record<string, string> = {}
  if (buyer !== null) headers['Authorization'] = `Bearer ${await tokenOf(buyer)}`
  if (type !== undefined) headers['Content-Type'] = type
  return request(new URL(path, cluster.view.url).href, { method, headers, ...(body === undefined ? {} : { body }) })
}

async function tokenOf(buyer: string): Promise<string> {
  const token = tokens.get(buyer) ?? (await cluster.token(buyer))
  tokens.set(buyer, token)
  return token
}

/** A held order with a payment begun. Returns the order's id and the page to pay on. */
async function buyAndStart(buyer: string, quantity = 1): Promise<{ id: string; page: string }> {
  const wish = { buyer, token: await tokenOf(buyer), key: freshKey(), saleId: 'rush', fareId: 'seat', quantity }
  const bought = await buyOnce(wish, cluster.view.url)
  expect(bought.status).toBe(201)
  const id = bought.orderId ?? ''
  const started = await call('POST', `/api/orders/${id}/payment`, buyer)
  expect(started.status).toBe(200)
  return { id, page: String(jsonOf(started)['redirectUrl']) }
}

const stateOf = async (id: string, buyer: string): Promise<unknown> =>
  jsonOf(await call('GET', `/api/orders/${id}`, buyer))['state']

const untilPaid = (id: string, buyer: string): Promise<unknown> =>
  until(`order ${id} to be paid`, async () => (await stateOf(id, buyer)) === 'paid')

function sign(body: string, atMs = systemClock.nowMs(), secret?: string): string {
  const ours = readFileSync(join(cluster.dir, 'payment-sandbox.secret'), 'utf8')
  const seconds = Math.floor(atMs / 1000)
  return `t=${seconds},v1=${createHmac('sha256', secret ?? ours)
    .update(`${seconds}.${body}`)
    .digest('hex')}`
}

async function webhook(body: string, signature: string): Promise<Reply> {
  const headers = { 'Content-Type': 'application/json', 'Farebox-Signature': signature }
  return request(`${cluster.view.url}/api/payments/webhook/sandbox`, { method: 'POST', headers, body })
}

describe('a buyer', () => {
  it('buys, pays in the sandbox, gets tickets, and the gate verifies them offline', async () => {
    const { id, page } = await buyAndStart('alice', 2)
    expect(new URL(page).origin).toBe(new URL(cluster.view.url).origin)
    const shown = await request(page)
    expect([shown.status, shown.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(shown.text).toContain('€24.00')
    const pressed = await call('POST', page, null, 'outcome=pay', 'application/x-www-form-urlencoded')
    expect(pressed.status).toBe(303)
    await untilPaid(id, 'alice')

    const tickets = await call('GET', `/api/orders/${id}/tickets`, 'alice')
    const items = jsonOf(tickets)['items'] as { code: string; qrSvg: string }[]
    expect(items).toHaveLength(2)
    expect(items[0]?.qrSvg).toMatch(/^<svg/)
    const keys = cluster.space.file('keys.json', (await call('GET', '/api/keys', null)).text)
    const [first = ''] = items.map(({ code }) => code)
    const genuine = await cluster.farebox('ticket', 'verify', first, '--keys', keys)
    expect(genuine).toMatchObject({ code: 0, json: { valid: true, ticket: { orderId: id, seat: 1, saleId: 'rush' } } })
    const altered = first.slice(0, 20) + (first[20] === 'A' ? 'B' : 'A') + first.slice(21)
    expect(await cluster.farebox('ticket', 'verify', altered, '--keys', keys)).toMatchObject({ code: 1 })
  })

  it('meets somebody else’s order as an unknown one', async () => {
    const { id } = await buyAndStart('alice')
    const answers = [
      await call('POST', `/api/orders/${id}/payment`, 'bob'),
      await call('GET', `/api/orders/${id}/tickets`, 'bob'),
      await call('POST', `/api/orders/${'0'.repeat(26)}/payment`, 'bob'),
    ]
    expect(answers.map((answer) => [answer.status, jsonOf(answer)['code']])).toEqual(
      Array.from({ length: 3 }, () => [404, 'no_such_order']),
    )
  })

  it('is given a token where the operator wants demonstrations', async () => {
    const session = jsonOf(await call('POST', '/api/demo/session', null))
    const headers = { Authorization: `Bearer ${String(session['token'])}` }
    const orders = await request(`${cluster.view.url}/api/orders`, { headers })
    expect([orders.status, jsonOf(orders)['items']]).toEqual([200, []])
  })
})

describe('an operator', () => {
  it('refunds a paid order: its tickets end, its seats are sold again, money and stock agree', async () => {
    const { id, page } = await buyAndStart('erin', 2)
    await call('POST', page, null, 'outcome=pay', 'application/x-www-form-urlencoded')
    await untilPaid(id, 'erin')
    expect((await call('GET', `/api/orders/${id}/tickets`, 'erin')).status).toBe(200)
    const token = readFileSync(join(cluster.dir, 'admin.token'), 'utf8').trim()
    const refund = (): Promise<Reply> =>
      request(`${cluster.view.adminUrl}/admin/orders/${id}/refund`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${token}` },
      })
    expect(jsonOf(await refund())['outcome']).toBe('changed')
    expect(jsonOf(await refund())['outcome']).toBe('unchanged')
    expect(jsonOf(await call('GET', `/api/orders/${id}`, 'erin'))).toMatchObject({
      state: 'released',
      reason: 'refunded',
    })
    expect(jsonOf(await call('GET', `/api/orders/${id}/tickets`, 'erin'))['code']).toBe('not_paid')
    expect((await cluster.audit()).problems).toEqual([])
  })

  it('changes the key, and tickets signed before stay genuine', async () => {
    const { id, page } = await buyAndStart('frank')
    await call('POST', page, null, 'outcome=pay', 'application/x-www-form-urlencoded')
    await untilPaid(id, 'frank')
    const before = await call('GET', `/api/orders/${id}/tickets`, 'frank')
    expect(await cluster.farebox('key', 'rotate')).toMatchObject({ code: 0, json: { keys: 2 } })
    expect((await call('GET', `/api/orders/${id}/tickets`, 'frank')).text).toBe(before.text)
    const [{ code } = { code: '' }] = jsonOf(before)['items'] as { code: string }[]
    // Without a file it asks the cluster.
    expect(await cluster.farebox('ticket', 'verify', code)).toMatchObject({ code: 0, json: { valid: true } })
  })
})

describe('a webhook that is not to be believed', () => {
  it('changes nothing', async () => {
    const { id } = await buyAndStart('carol')
    const event = { id: `evt-${id}`, type: 'paid', reference: id, chargeId: `ch-${id}`, amount: 1200, currency: 'EUR' }
    const body = JSON.stringify({ ...event, occurredAtMs: systemClock.nowMs() })
    const cheap = body.replace('1200', '1')
    const refused = [
      await webhook(body, sign(body, systemClock.nowMs(), 'a secret that somebody made up')),
      await webhook(`${body} `, sign(body)),
      await webhook(body, sign(body, systemClock.nowMs() - 600_000)),
      await webhook(cheap, sign(cheap)),
    ]
    expect(refused.map((answer) => [answer.status, jsonOf(answer)['code']])).toEqual([
      [400, 'bad_signature'],
      [400, 'bad_signature'],
      [400, 'stale_timestamp'],
      [422, 'wrong_amount'],
    ])
    expect(await stateOf(id, 'carol')).toBe('held')
    expect(jsonOf(await webhook(body, sign(body)))).toEqual({ outcome: 'applied' })
    expect(await stateOf(id, 'carol')).toBe('paid')
    expect(jsonOf(await webhook(body, sign(body)))).toEqual({ outcome: 'replayed' })
    const { items } = await cluster.read<{ items: { kind: string }[] }>('payment', 'anomalies')
    expect(items.map(({ kind }) => kind)).toContain('wrong_amount')
  })

  it('does not keep the genuine one from being believed, however badly the provider behaves', async () => {
    const { id, page } = await buyAndStart('dora')
    const press = { duplicates: 2, forged: true, wrongAmount: true, outOfOrder: true, delayMs: 100 }
    expect((await call('POST', page, null, JSON.stringify(press), 'application/json')).status).toBe(200)
    await untilPaid(id, 'dora')
    expect(jsonOf(await call('DELETE', `/api/orders/${id}`, 'dora'))['code']).toBe('already_paid')
    expect((await cluster.audit()).problems).toEqual([])
  })
})
