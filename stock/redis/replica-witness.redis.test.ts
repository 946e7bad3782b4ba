/** A primary with one real replica, which is stopped and goes on. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startTestRedis, type TestRedis } from '../conformance/test-redis.ts'
import type { QuotaRules, SaleDefinition, Version } from '../core/words.ts'
import { connectRedisStock, type RedisStock } from './redis-stock.ts'

const SALE = 'kept'
const RULES: QuotaRules = { buffer: { tickets: 1 }, deadAfterMs: 60_000 }
const DEFINITION: SaleDefinition = {
  id: SALE,
  name: 'Kept',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: 60_000,
  fares: [{ id: 'a', name: 'A', price: { amount: 1, currency: 'EUR' }, stock: 100 }],
  orderIdSecret: '00',
}

let primary: TestRedis
let replica: TestRedis
const stocks: RedisStock[] = []

async function connectStock(): Promise<RedisStock> {
  const stock = await connectRedisStock({ url: primary.url, commandTimeoutMs: 400 })
  stocks.push(stock)
  return stock
}

beforeAll(async () => {
  primary = await startTestRedis(['--appendonly', 'no', '--repl-diskless-sync-delay', '0'])
  replica = await startTestRedis(['--appendonly', 'no', '--replicaof', '127.0.0.1', new URL(primary.url).port])
  const stock = await connectStock()
  const { version } = await stock.sales.create(DEFINITION, 1)
  await stock.sales.change(SALE, 'open', version)
  await until(async () => (await ask(stock)) === 'replicated')
})
afterAll(async () => {
  await Promise.all(stocks.map((stock) => stock.close()))
  await replica.stop()
  await primary.stop()
})

function until(isSo: () => Promise<boolean>): Promise<boolean> {
  return vi.waitUntil(isSo, { timeout: 10_000, interval: 20 })
}

async function newest(stock: RedisStock): Promise<Version> {
  return (await stock.sales.read(SALE, RULES))?.version ?? { era: 0, seq: 0 }
}

async function ask(stock: RedisStock, replicas = 1): Promise<string> {
  return (await stock.sales.awaitReplicas(SALE, await newest(stock), replicas)).outcome
}

/** Buys one ticket, so that the primary has something which the replica may lack. */
async function buy(stock: RedisStock, order: string): Promise<void> {
  const joined = await stock.sales.join(SALE, { id: 'n1', weight: 1 }, await newest(stock), 0, RULES)
  if (joined.outcome !== 'joined') throw new Error(joined.outcome)
  const caller = { nodeId: 'n1', epoch: joined.epoch, seen: joined.version, lastWriteSeq: joined.version.seq }
  const item = { orderId: order, buyer: order, fareId: 'a', quantity: 1, deadlineMs: Date.now() + 60_000 }
  const reply = await stock.sales.confirm(SALE, caller, [item], RULES)
  expect(reply).toMatchObject({ outcome: 'judged', verdicts: [{ status: 'held' }] })
}

it('a replica that stopped is not counted, not even by a connection that wrote nothing', async () => {
  const used = await connectStock()
  const fresh = await connectStock()
  expect(await ask(used)).toBe('replicated')
  expect(await ask(used, 2)).toBe('lagging')
  replica.process.kill('SIGSTOP')
  try {
    await buy(used, 'first')
    expect(await ask(used)).toBe('lagging')
    expect(await ask(fresh)).toBe('lagging')
    expect(await Promise.all([ask(used), ask(fresh), ask(used)])).toEqual(['lagging', 'lagging', 'lagging'])
  } finally {
    replica.process.kill('SIGCONT')
  }
  await until(async () => (await ask(fresh)) === 'replicated')
})

it('asking leaves something on its connection that replicas get', async () => {
  const stock = await connectStock()
  const listener = new Redis(replica.url)
  try {
    const heard: string[] = []
    listener.on('pmessage', (_pattern: string, channel: string) => heard.push(channel))
    await listener.psubscribe('*:witness')
    expect(await ask(stock)).toBe('replicated')
    await until(() => Promise.resolve(heard.length === 1))
  } finally {
    listener.disconnect()
  }
})

it('a cut connection is never taken for a replicated order', async () => {
  const stock = await connectStock()
  const admin = new Redis(primary.url)
  replica.process.kill('SIGSTOP')
  try {
    await buy(stock, 'second')
    const asked = ask(stock).catch(() => 'unknown')
    await until(async () => Number(await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')) > 0)
    expect(await asked).not.toBe('replicated')
    await until(async () => (await ask(stock).catch(() => 'unknown')) === 'lagging')
  } finally {
    replica.process.kill('SIGCONT')
    admin.disconnect()
  }
})

it('knows whether the store is the one that judged', async () => {
  const stock = await connectStock()
  const seen = await newest(stock)
  expect(await stock.sales.awaitReplicas(SALE, { era: seen.era - 1, seq: 999 }, 1)).toMatchObject({ outcome: 'fenced' })
  expect(await stock.sales.awaitReplicas('nowhere', seen, 1)).toEqual({ outcome: 'recovering' })
  // Behind its caller: an older copy.
  expect(await stock.sales.awaitReplicas(SALE, { era: seen.era, seq: seen.seq + 1 }, 1)).toEqual({
    outcome: 'recovering',
  })
})
