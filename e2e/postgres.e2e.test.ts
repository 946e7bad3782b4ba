/**
 * A cluster on a PostgreSQL server, two orders processes at work: an order's whole life, and the death of one of the two
 * while everybody buys and pays.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../orders/ledger/conformance/test-postgres.ts'
import { openPostgres } from '../orders/ledger/postgres.ts'
import { buyOnce, jsonOf, request, Rush, type Reply } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { forEach, HEALTHY, judge, say, wishOf, type Buyer } from './rush.ts'
import { until } from './wait.ts'

const STOCK = 1200
const PAYING = 40

let server: TestPostgres
let ledgerUrl: string
let cluster: Cluster
let buyers: Buyer[]
beforeAll(async () => {
  server = await startTestPostgres()
  ledgerUrl = await server.database()
  const config = `ledger: { url: "${ledgerUrl}" }\norders: { processes: 2 }\n`
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: STOCK }), config })
  const sales = {
    pair: saleText({ seat: 4 }, { id: 'pair' }),
    short: saleText({ seat: 1 }, { id: 'short', holdSeconds: 2 }),
  }
  for (const [id, text] of Object.entries(sales)) {
    await cluster.read('sale', 'create', cluster.space.file(`${id}.yaml`, text))
    await cluster.read('sale', 'open', id)
  }
  buyers = await cluster.tokens(STOCK + 10)
})
afterAll(async () => {
  await cluster?.end()
  await server?.stop()
})

const tokenOf = ({ token }: Buyer): Record<string, string> => ({ Authorization: `Bearer ${token}` })

function ask(path: string, buyer: Buyer, method = 'GET'): Promise<Reply> {
  return request(`${cluster.view.url}${path}`, { method, headers: tokenOf(buyer) })
}

function buyer(): Buyer {
  const one = buyers.pop()
  if (one === undefined) throw new Error('no buyer is left')
  return one
}

/** Repeats while the answer is trouble, as every call on an order may be. */
async function insist(path: string, one: Buyer, method: string): Promise<Reply> {
  return until(`an answer to ${method} ${path}`, async () => {
    const reply = await ask(path, one, method)
    return reply.status !== 0 && reply.status < 500 ? reply : null
  })
}

async function pay(id: string, one: Buyer): Promise<void> {
  const started = await insist(`/api/orders/${id}/payment`, one, 'POST')
  const page = new URL(String(jsonOf(started)['redirectUrl']), cluster.view.url).href
  const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
  await until('the button', async () => {
    const { status } = await request(page, { method: 'POST', headers, body: 'outcome=pay' })
    return status === 303
  })
}

function untilState(id: string, one: Buyer, state: string): Promise<unknown> {
  return until(`order ${id} to be ${state}`, async () => {
    return jsonOf(await ask(`/api/orders/${id}`, one))['state'] === state
  })
}

/** Orders that each process brought into the ledger; null for one that does not answer. */
async function taken(): Promise<(number | null)[]> {
  return Promise.all(
    cluster.view.orders.map(async ({ adminUrl }) => {
      const { status, text } = await request(`${adminUrl}/metrics`)
      const found = /^farebox_orders_taken_total (\d+)$/m.exec(text)
      return status === 200 ? Number(found?.[1]) : null
    }),
  )
}

describe('on PostgreSQL, with two orders processes', () => {
  it('an order is bought, paid, has a ticket that the gate believes; another lapses and is somebody else’s', async () => {
    expect(cluster.view.orders.map(({ id }) => id)).toEqual(['o1', 'o2'])
    const [ann, bob, eve] = [buyer(), buyer(), buyer()]
    const won = await buyOnce(wishOf(ann, { saleId: 'pair', quantity: 2 }), cluster.view.url)
    const lapses = await buyOnce(wishOf(bob, { saleId: 'short' }), cluster.view.url)
    expect([won.status, lapses.status]).toEqual([201, 201])
    const id = won.orderId ?? ''
    await pay(id, ann)
    await untilState(id, ann, 'paid')
    const { items } = jsonOf(await ask(`/api/orders/${id}/tickets`, ann)) as { items: { code: string }[] }
    expect(items).toHaveLength(2)
    for (const { code } of items) {
      expect(await cluster.farebox('ticket', 'verify', code)).toMatchObject({ code: 0, json: { valid: true } })
    }
    await until('the lapsed ticket to be sold again', async () => {
      return (await buyOnce(wishOf(eve, { saleId: 'short' }), cluster.view.url)).status === 201
    })
    await untilState(lapses.orderId ?? '', bob, 'released')
    for (const saleId of ['pair', 'short']) expect((await cluster.audit(saleId)).problems).toEqual([])
  })

  it("the ledger's own counter, changed by hand past its triggers, is named", async () => {
    const database = await openPostgres(ledgerUrl)
    try {
      await database.query(`update fares set paid = paid - 1 where sale_id = 'pair'`)
      expect((await cluster.audit('pair')).problems).toEqual([
        { rule: 'ledger_counter', witness: "fare seat: the ledger's counter paid is 1, its rows sum to 2" },
      ])
      await database.query(`update fares set paid = paid + 1 where sale_id = 'pair'`)
      expect((await cluster.audit('pair')).problems).toEqual([])
    } finally {
      await database.close()
    }
  })

  it('both work; kill -9 of one in the middle of it loses and doubles nothing, and the other takes over', async () => {
    const rush = new Rush(
      buyers.slice(0, STOCK).map((one) => wishOf(one)),
      { target: () => cluster.view.url, concurrency: 16, arrivalMs: 4 },
    )
    const before = await taken()
    const running = rush.run()
    await until('both to have taken orders in', async () => {
      return (await taken()).every((count, at) => (count ?? 0) > (before[at] ?? 0))
    })
    const victim = cluster.pids().get('o1') ?? 0
    expect(rush.isOver).toBe(false)
    process.kill(victim, 'SIGKILL')
    await untilGone([victim])
    say(`killed o1 after ${rush.sold} of ${STOCK}`)
    const history = await running
    const orders = history.flatMap(({ buyer: name, token, attempts }) => {
      const id = attempts.at(-1)?.orderId ?? null
      return id === null ? [] : [{ id, one: { buyer: name, token: token ?? '' } }]
    })
    await forEach(
      orders.slice(-PAYING),
      async ({ id, one }) => {
        await pay(id, one)
        await untilState(id, one, 'paid')
      },
      8,
    )
    expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: HEALTHY })).toEqual([])
    const { fares } = await cluster.audit()
    expect(fares[0]).toMatchObject({ ledgerHeld: STOCK - PAYING, ledgerPaid: PAYING, ledgerPending: 0 })
    const { items } = await cluster.read<{ items: { id: string }[] }>('sale', 'export', 'rush')
    expect(items.map(({ id }) => id).toSorted()).toEqual(orders.map(({ id }) => id).toSorted())
  })
})
