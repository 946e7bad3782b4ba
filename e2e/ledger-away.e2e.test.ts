/**
 * The database lost: silent, then dead, then back, in the middle of a rush and with payments coming in. Buyers go on
 * buying and read their orders, nothing is acknowledged that is not on disk, and no operator has to do anything.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../orders/ledger/conformance/test-postgres.ts'
import type { Database } from '../orders/ledger/database.ts'
import { openPostgres } from '../orders/ledger/postgres.ts'
import { ordersOf } from './checkers.ts'
import { buyOnce, jsonOf, request, Rush, type Attempt, type Reply } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { Provider, type Payable } from './provider.ts'
import { forEach, HEALTHY, judge, say, wishOf, type Buyer } from './rush.ts'
import { pause, until } from './wait.ts'

/** Half of it silent, half of it dead. */
const OUTAGE_MS = Number(process.env['FAREBOX_TEST_OUTAGE_SECONDS'] ?? 30) * 1000
/** Buyers come for longer than the outage lasts, however fast they are served. */
const ARRIVAL_MS = 12
const STOCK = Math.ceil((OUTAGE_MS + 5000) / ARRIVAL_MS)
const PAYING = 240
/** A reader is kept waiting for a ledger that is silent only until that is known. */
const AT_ONCE_MS = 400

let postgres: TestPostgres
let ledgerUrl: string
let cluster: Cluster
beforeAll(async () => {
  postgres = await startTestPostgres()
  ledgerUrl = await postgres.database()
  const sale = saleText({ seat: STOCK, paid: PAYING })
  cluster = await Cluster.up({ nodes: 2, sale, config: `ledger: { url: "${ledgerUrl}" }\n` })
})
afterAll(async () => {
  try {
    await cluster.end()
  } finally {
    await postgres.stop()
  }
})

function ask(path: string, { token }: Buyer, method = 'GET'): Promise<Reply> {
  return request(`${cluster.view.url}${path}`, { method, headers: { Authorization: `Bearer ${token}` } })
}

async function inLedger<T>(work: (database: Database) => Promise<T>): Promise<T> {
  const database = await openPostgres(ledgerUrl)
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

async function idsInLedger(where: string): Promise<string[]> {
  const rows = await inLedger((ledger) => ledger.query<{ id: string }>(`select id from orders where ${where}`))
  return rows.map(({ id }) => id).toSorted()
}

/** By hand, past every trigger. */
function changeRows(...changes: [set: string, id: string][]): Promise<unknown> {
  return inLedger((ledger) =>
    ledger.transaction(async (transaction) => {
      await transaction.query('set local session_replication_role = replica')
      for (const [set, id] of changes) await transaction.query(`update orders set ${set} where id = $1`, [id])
    }),
  )
}

/** A number of the orders process, summed over its labels. */
async function metric(name: string): Promise<number> {
  const { text } = await request(`${cluster.view.orders[0]?.adminUrl}/metrics`)
  const lines = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length] ?? ''))
  if (lines.length === 0) throw new Error(`there is no metric ${name}`)
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

interface Reading {
  readonly status: number
  readonly ms: number
  readonly afterMs: number
}

describe('a ledger that is silent and then dead in a rush', () => {
  it('is missed by no buyer, and catches up with nothing lost and nothing set aside', async () => {
    const wishes = (await cluster.tokens(STOCK + 50)).map((one) => wishOf(one))
    const bought: Attempt[] = []
    const readings: Reading[] = []
    const read = async ({ orderId }: Attempt, token: string | null): Promise<void> => {
      const startMs = performance.now()
      const { status } = await ask(`/api/orders/${orderId}`, { buyer: '', token: token ?? '' })
      readings.push({ status, ms: performance.now() - startMs, afterMs: startMs })
    }
    const reads: Promise<void>[] = []
    const rush = new Rush(wishes, {
      target: () => cluster.view.url,
      arrivalMs: ARRIVAL_MS,
      onOrder: (attempt, { token }) => {
        bought.push(attempt)
        reads.push(read(attempt, token))
      },
    })
    const running = rush.run()
    await until('the ledger to take orders in', () => metric('farebox_orders_taken_total'))
    const beganMs = performance.now()
    await postgres.freeze()
    await pause(OUTAGE_MS / 2)
    await postgres.kill()
    await pause(OUTAGE_MS / 2)
    const soldInOutage = bought.filter(({ invokedMs }) => invokedMs > beganMs)
    expect(rush.isOver, 'buyers came all the while').toBe(false)
    await postgres.restart()
    const restartedMs = performance.now()
    const history = await running
    await Promise.all(reads)
    await until('the ledger to have all orders', async () => (await metric('farebox_orders_behind')) === 0, 60_000)
    const caughtUpMs = Math.round(performance.now() - restartedMs)

    const seconds = new Set(soldInOutage.map(({ completedMs }) => Math.floor((completedMs - beganMs) / 1000)))
    const inOutage = readings.filter(({ afterMs }) => afterMs > beganMs && afterMs < restartedMs)
    const times = inOutage.map(({ ms }) => ms).toSorted((a, b) => a - b)
    const at = (share: number): number => Math.round(times[Math.floor(times.length * share)] ?? Number.NaN)
    say(`${soldInOutage.length} orders in the outage, read within ${at(0.5)} ms (median), ${at(0.99)} ms (p99)`)
    say(`${at(0.9999)} ms at most; caught up ${caughtUpMs} ms after the start`)
    expect(seconds.size, 'seconds of the outage with a 201').toBeGreaterThanOrEqual(OUTAGE_MS / 1000 - 2)
    expect(new Set(readings.map(({ status }) => status))).toEqual(new Set([200]))
    expect(at(0.95)).toBeLessThan(AT_ONCE_MS)

    expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: HEALTHY })).toEqual([])
    expect(await idsInLedger(`fare_id = 'seat' and state = 'held'`)).toEqual([...ordersOf(history).keys()].toSorted())
    expect([await metric('farebox_dead_letters'), await metric('farebox_orders_set_aside_total')]).toEqual([0, 0])
  })
})

describe('a ledger that is killed while payments come in', () => {
  it('acknowledges none that is not on disk, and all of them in the end', async () => {
    const orders: Payable[] = []
    await forEach(await cluster.tokens(PAYING, 'payer-'), async (buyer) => {
      const { orderId } = await buyOnce(wishOf(buyer, { fareId: 'paid' }), cluster.view.url)
      orders.push({ orderId: orderId ?? '', buyer })
    })
    const [unpaid, ...others] = orders.map(({ orderId }) => orderId)
    const provider = new Provider(cluster)
    await forEach(orders, async (order) => {
      expect((await provider.startPayment(order)).status).toBe(200)
    })

    const telling = provider.tellAll(others)
    await until('a third to be believed', () => provider.acknowledged.size > PAYING / 3)
    await postgres.kill()
    const killedMs = performance.now()
    await until('many that are not', () => provider.told.filter(({ status }) => status !== 200).length > 100)
    const told = provider.told.filter(({ invokedMs }) => invokedMs > killedMs)
    expect(new Set(told.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(['503 busy']))
    const [first] = orders as [Payable, ...Payable[]]
    const acts = [
      await provider.startPayment(first),
      await ask(`/api/orders/${first.orderId}`, first.buyer, 'DELETE'),
      await ask(`/api/orders/${first.orderId}/tickets`, first.buyer),
    ]
    expect(
      acts.map((reply) => [reply.status, jsonOf(reply)['code'], reply.headers['retry-after'] !== undefined]),
    ).toEqual(acts.map(() => [503, 'busy', true]))
    // What was under way at the death may have been committed; what was told later cannot have been.
    const mayBePaid = new Set(provider.told.filter(({ invokedMs }) => invokedMs < killedMs).map((one) => one.orderId))
    const shownPaid: string[] = []
    await forEach(orders, async ({ orderId, buyer }) => {
      const shown = await ask(`/api/orders/${orderId}`, buyer)
      expect(shown.status).toBe(200)
      if (jsonOf(shown)['state'] === 'paid') shownPaid.push(orderId)
    })
    expect(shownPaid.filter((id) => !mayBePaid.has(id))).toEqual([])
    const acknowledged = [...provider.acknowledged]

    await postgres.restart()
    const paid = new Set(await idsInLedger(`fare_id = 'paid' and state = 'paid'`))
    expect([...acknowledged, ...shownPaid].filter((id) => !paid.has(id))).toEqual([])
    await telling
    expect(await idsInLedger(`fare_id = 'paid' and state = 'paid'`)).toEqual(others.toSorted())
    expect(await idsInLedger(`fare_id = 'paid' and state = 'held'`)).toEqual([unpaid])
    const { ok, problems, fares } = await cluster.audit()
    expect([ok, problems]).toEqual([true, []])
    expect(fares[1]).toMatchObject({ held: 1, paid: PAYING - 1, ledgerPaid: PAYING - 1, ledgerPending: 0 })
  })
})

describe('a row of the ledger changed by hand', () => {
  it('in ordinary SQL is refused', async () => {
    const change = inLedger((ledger) => ledger.query('update orders set quantity = quantity + 1'))
    await expect(change).rejects.toMatchObject({ outcome: 'refused', constraint: 'orders_identity' })
  })

  it('past every trigger, its quantity or its state, is named by the audit', async () => {
    const [more = '', paid = ''] = await idsInLedger(`fare_id = 'seat'`)
    await changeRows(['quantity = 2', more], [`state = 'paid', paid_ms = 1`, paid])
    const { ok, problems } = await cluster.audit()
    await changeRows(['quantity = 1', more], [`state = 'held', paid_ms = null`, paid])
    expect(ok).toBe(false)
    expect(problems.map(({ rule, witness }) => `${rule}: ${witness}`)).toEqual(
      expect.arrayContaining([
        `ledger_order: order ${more}: the store says held, 1 of seat, the ledger held, 2 of seat`,
        `ledger_order: order ${paid}: the store says held, 1 of seat, the ledger paid, 1 of seat`,
      ]),
    )
    expect((await cluster.audit()).problems).toEqual([])
  })
})
