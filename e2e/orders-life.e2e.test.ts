/** What becomes of an order: read at once, cancelled, lapsed; and the process that sees to it killed and held. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ordersOf } from './checkers.ts'
import { buyOnce, jsonOf, request, Rush, type History, type Purchase, type Wish } from './client.ts'
import { Cluster, isRunning, saleText, untilGone } from './cluster.ts'
import { HEALTHY, judge, say, wishOf, type Buyer } from './rush.ts'
import { ORDERS, saleKey, withStore } from './store.ts'
import { pause, until } from './wait.ts'

const STOCK = 10_000
/** Buyers between two deaths of the orders process. */
const PER_KILL = 1700
let cluster: Cluster
beforeAll(async () => {
  // 'up --restart' brings the orders process back each time that it is killed.
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: STOCK }), restart: true })
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

it('gives way to buyers with all its threads, and has practised before they come', async () => {
  const pid = cluster.view.orders[0]?.pid ?? 0
  // The nineteenth field, counted from the state behind the name in brackets.
  const nice = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
  })
  expect(nice.length).toBeGreaterThan(1)
  expect(nice.filter((each) => each < 5)).toEqual([])
  const log = join(cluster.dir, 'logs', 'o1.log')
  await until('practice', () => /"batches":30,"msg":"practised taking orders"/.test(readFileSync(log, 'utf8')))
})

/** Changes whenever the ledger writes. */
function ledgerWrites(): string {
  const log = join(cluster.dir, 'ledger', 'data', 'pg_wal')
  return readdirSync(log)
    .map((name) => `${name} ${statSync(join(log, name), { bigint: true }).mtimeNs}`)
    .join()
}

/** Right after so many writes, and so in the middle of the work; or a moment later, when it is not yet so far. */
async function untilLedgerWrote(times: number): Promise<void> {
  const endMs = performance.now() + 500
  for (let seen = 0; seen < times; seen += 1) {
    const before = ledgerWrites()
    while (ledgerWrites() === before && performance.now() < endMs) await pause(1)
  }
}

/**
 * Held until there is much to take, let go until it takes, and held again at once: what the store makes from then on is
 * surely not in the ledger when it is killed. Says how many orders that are.
 */
async function killWhileBehind(pid: number, writes: number, rush: Rush): Promise<[part: History, behind: number]> {
  return withStore(cluster.view.redis.url, async (redis) => {
    const untilMade = async (more: number): Promise<number> => {
      const before = await redis.hlen(ORDERS)
      return until(`${more} orders that the ledger has not`, async () => {
        const count = (await redis.hlen(ORDERS)) - before
        return count >= more ? count : null
      })
    }
    process.kill(pid, 'SIGSTOP')
    const [running] = [rush.run(), await untilMade(200)]
    process.kill(pid, 'SIGCONT')
    await untilLedgerWrote(writes)
    process.kill(pid, 'SIGSTOP')
    const behind = await untilMade(1)
    process.kill(pid, 'SIGKILL')
    await untilGone([pid])
    return [await running, behind]
  })
}

function untilAnother(killed: number): Promise<number> {
  return until('another orders process', () => {
    const pid = cluster.pids().get('o1') ?? 0
    return pid !== killed && isRunning(pid) ? pid : null
  })
}

async function isReady(): Promise<boolean> {
  return (await request(`${cluster.view.orders[0]?.adminUrl}/readyz`)).status === 200
}

describe('counters changed by hand so that more is sold than there is', () => {
  const TICKETS = 5
  const EXTRA = 3

  /** Buyers who all hear 201, in a sale of which the store was made to believe that it has more. */
  async function oversold(saleId: string, change: (redis: Redis, key: string) => Promise<unknown>): Promise<Won[]> {
    const file = cluster.space.file(`${saleId}.yaml`, saleText({ seat: TICKETS }, { id: saleId }))
    await cluster.read('sale', 'create', file)
    await cluster.read('sale', 'open', saleId)
    const buyers = await cluster.tokens(TICKETS + EXTRA, `${saleId}-`)
    // Nobody may mend it, or tell the ledger, before all have bought.
    const orders = cluster.pids().get('o1') ?? 0
    process.kill(orders, 'SIGSTOP')
    try {
      const won: Won[] = []
      for (const [index, one] of buyers.entries()) {
        // Before the last one is sold: a node that heard of a zero keeps to it until the store says that it changed.
        if (index === TICKETS - 1) await withStore(cluster.view.redis.url, (redis) => change(redis, saleKey(saleId)))
        const wish = wishOf(one, { saleId })
        const attempt = await until('a ticket', async () => {
          const next = await buyOnce(wish, cluster.view.url)
          return next.status === 201 ? next : null
        })
        won.push({ ...one, wish, orderId: attempt.orderId ?? '' })
      }
      return won
    } finally {
      process.kill(orders, 'SIGCONT')
    }
  }

  interface Won extends Buyer {
    readonly wish: Wish
    readonly orderId: string
  }

  /** The stock can be paid for and not one ticket more; the others are told so, whatever they ask. */
  async function expectOnlyTheStock(saleId: string, won: readonly Won[]): Promise<void> {
    const started: number[] = []
    for (const one of won) started.push((await ask(`/api/orders/${one.orderId}/payment`, one, 'POST')).status)
    expect(started.toSorted((a, b) => a - b)).toEqual([...Array(TICKETS).fill(200), ...Array(EXTRA).fill(409)])
    const refused = won.filter((_one, index) => started[index] === 409)
    for (const one of refused) {
      const inConflict = { id: one.orderId, state: 'released', reason: 'conflict' }
      expect(jsonOf(await ask(`/api/orders/${one.orderId}`, one))).toMatchObject(inConflict)
      await until('the store to know', async () => {
        const again = await request(`${cluster.view.url}/api/sales/${saleId}/fares/seat/orders`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${one.token}`, 'Idempotency-Key': one.wish.key },
        })
        // While it is counted anew nobody sells, and nobody is told anything else.
        if (jsonOf(again)['code'] === 'recovering') return false
        expect([again.status, jsonOf(again)['id']]).toEqual([200, one.orderId])
        return jsonOf(again)['state'] === 'released'
      })
      expect(jsonOf(await ask(`/api/orders/${one.orderId}/tickets`, one))['code']).toBe('not_paid')
    }
    const { items } = await cluster.read<{ items: { state: string; reason: string | null }[] }>(
      'sale',
      'export',
      saleId,
    )
    expect(items.map(({ state, reason }) => `${state} ${reason}`).toSorted()).toEqual([
      ...Array<string>(TICKETS).fill('held null'),
      ...Array<string>(EXTRA).fill('released conflict'),
    ])
  }

  it('its stock raised: the ledger issues the stock, and gives the store its own number back', async () => {
    const won = await oversold('raised', (redis, key) =>
      redis.multi().hincrby(key, 'stock:seat', EXTRA).hincrby(key, 'remaining:seat', EXTRA).exec(),
    )
    await expectOnlyTheStock('raised', won)
    await until('the counters to be whole', async () => {
      const { ok, fares } = await cluster.audit('raised')
      return ok && fares[0]?.stock === TICKETS
    })
  })

  it('its holds forgotten: the ledger issues the stock, and the store is counted anew by itself', async () => {
    const won = await oversold('forgotten', (redis, key) =>
      redis.multi().hincrby(key, 'held:seat', -EXTRA).hincrby(key, 'remaining:seat', EXTRA).exec(),
    )
    await expectOnlyTheStock('forgotten', won)
    await until('the counters to be whole', async () => (await cluster.audit('forgotten')).ok)
    const { sales } = await cluster.read<{ sales: { id: string; recovered: { how: string } | null }[] }>('status')
    expect(sales.find(({ id }) => id === 'forgotten')?.recovered).toMatchObject({ how: 'recount' })
    await until('the event', async () => {
      const { items } = await cluster.read<{ items: { kind: string; text: string }[] }>('events')
      return items.some(
        ({ kind, text }) => kind === 'error' && text.startsWith('sale forgotten sold more than the ledger'),
      )
    })
    const [late] = await cluster.tokens(1, 'forgotten-late-')
    if (late === undefined) throw new Error('no buyer')
    expect(await buyOnce(wishOf(late, { saleId: 'forgotten' }), cluster.view.url)).toMatchObject({ status: 409 })
  })
})

/** While it takes much at once it answers late; who asks it then may hear that nobody answers. */
async function hasTaken(): Promise<boolean> {
  if (!(await isReady())) return false
  const { text } = await request(`${cluster.view.orders[0]?.adminUrl}/metrics`)
  return /^farebox_orders_behind\{sale="rush"\} 0$/m.test(text)
}

describe('the orders process', () => {
  it(
    'killed in a loop while 10,000 orders are bought: each of them is once in the ledger',
    { timeout: 400_000 },
    async () => {
      const wishes = (await cluster.tokens(STOCK + 200)).map((one) => wishOf(one))
      const history: Purchase[] = []
      const behind: number[] = []
      let killed = 0
      for (let first = 0; first < wishes.length; first += PER_KILL) {
        const pid = await untilAnother(killed)
        // Every third dies while it starts, with the orders of the time without one still to be taken.
        if (behind.length % 3 !== 1) await until('it to be ready', isReady, 60_000)
        const some = wishes.slice(first, first + PER_KILL)
        const rush = new Rush(some, { target: () => cluster.view.url, concurrency: 64, arrivalMs: 1 })
        const [part, count] = await killWhileBehind(pid, 1 + (behind.length % 3), rush)
        history.push(...part)
        behind.push(count)
        killed = pid
      }
      say(`killed ${behind.length} times, behind by at least ${behind.join(', ')} orders`)
      await until('the last one to have taken what there is', hasTaken, 60_000)
      expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: HEALTHY })).toEqual([])
      const { items } = await cluster.read<{ items: { id: string; state: string }[] }>('sale', 'export', 'rush')
      expect(items.map(({ id }) => id).toSorted()).toEqual([...ordersOf(history).keys()].toSorted())
      expect(new Set(items.map(({ state }) => state))).toEqual(new Set(['held']))
      const { fares } = await cluster.audit()
      expect(fares[0]).toMatchObject({ held: STOCK, ledgerHeld: STOCK, ledgerPending: 0 })
    },
  )
})
