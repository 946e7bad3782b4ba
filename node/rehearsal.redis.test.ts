/** Practice in a real store that sells: what is there for buyers is the same before and after, to the byte. */
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createLogger } from '../runtime/logger.ts'
import { systemRandom } from '../runtime/random.ts'
import { startTestRedis, type TestRedis } from '../stock/conformance/test-redis.ts'
import type { SaleDefinition } from '../stock/core/words.ts'
import { connectRedisStock, type RedisStock } from '../stock/redis/redis-stock.ts'
import { rehearseStart } from './rehearsal.ts'

let server: TestRedis
let stock: RedisStock
let hand: Redis
beforeAll(async () => {
  server = await startTestRedis()
  stock = await connectRedisStock({ url: server.url, commandTimeoutMs: 5000 })
  hand = new Redis(server.url)
})
afterAll(async () => {
  hand.disconnect()
  await stock.close()
  await server.stop()
})

const DEMO: SaleDefinition = {
  id: 'practice-n1',
  name: 'A sale that is named as closely as it can be',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: 60_000,
  fares: [{ id: 'seat', name: 'Seat', price: { amount: 1, currency: 'EUR' }, stock: 10 }],
  orderIdSecret: '11'.repeat(32),
}

/** Every key with its value as Redis writes it down. */
async function everything(): Promise<string[]> {
  const keys = (await hand.keys('*')).toSorted()
  return Promise.all(keys.map(async (key) => `${key} ${(await hand.dumpBuffer(key))?.toString('hex')}`))
}

it('sells from a sale of its own in Redis and takes it away again', async () => {
  await stock.sales.create(DEMO, 1)
  const before = await everything()
  const desk = {
    nodeId: 'n1',
    rules: { buffer: { percent: 10 }, deadAfterMs: 1500 },
    batchMaxItems: 128,
    batchMaxInFlight: 2,
    lineMaxItems: 100,
    buyDeadlineMs: 3000,
    checkDurability: () => Promise.resolve(true),
  }
  const options = { logger: createLogger({ level: 'silent' }), random: systemRandom, maxBodyBytes: 4096 }
  expect(await rehearseStart({ port: stock, desk, server: options })).toBeGreaterThan(4)
  expect(before.length).toBeGreaterThan(0)
  expect(await everything()).toEqual(before)
})
