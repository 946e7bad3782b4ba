/** What a store remembers of callers who have seen more than it has, in the twin and in Redis. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SaleDefinition, VERSION_ZERO } from '../core/words.ts'
import { createMemoryStock } from '../memory/memory-stock.ts'
import type { StockPort } from '../port.ts'
import { connectRedisStock, type RedisStock } from '../redis/redis-stock.ts'
import { startTestRedis, type TestRedis } from './test-redis.ts'

const RULES = { buffer: { percent: 10 }, deadAfterMs: 1500 }
const FARE = { id: 'seat', name: 'Seat', price: { amount: 1, currency: 'EUR' }, stock: 10 }
const SALE: SaleDefinition = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: 60_000,
  fares: [FARE],
  orderIdSecret: '11'.repeat(32),
}
const AHEAD = { era: 1, seq: 40 }

let server: TestRedis
let redis: RedisStock
beforeAll(async () => {
  server = await startTestRedis()
  redis = await connectRedisStock({ url: server.url, commandTimeoutMs: 5000 })
})
afterAll(async () => {
  await redis.close()
  await server.stop()
})

describe.each<readonly [string, () => StockPort]>([
  ['the twin', () => createMemoryStock({ nowMs: () => 1_800_000_000_000, fingerprint: () => 'life' })],
  ['Redis', () => redis],
])('%s', (_, port) => {
  it('is neither certified nor opened by less than a caller had seen, until it was taken into account', async () => {
    const { sales } = port()
    const knock = (seq: number) => sales.join('demo', { id: 'n1', weight: 1 }, { era: 1, seq }, 0, RULES)
    const sought = async () => (await sales.read('demo', RULES))?.sought
    const { version } = await sales.create(SALE, 1)

    expect(await knock(AHEAD.seq)).toEqual({ outcome: 'recovering' })
    expect(await knock(AHEAD.seq - 1)).toEqual({ outcome: 'recovering' })
    expect(await sought()).toEqual(AHEAD)
    expect(await sales.certify('demo', version, 2, AHEAD.seq - 1)).toMatchObject({ outcome: 'lost_race' })
    expect(await sales.certify('demo', version, 2, AHEAD.seq)).toMatchObject({ outcome: 'certified' })
    expect(await sought()).toEqual(VERSION_ZERO)

    await sales.beginUnion(SALE, 3)
    await sales.join('demo', { id: 'n1', weight: 1 }, { era: 2, seq: 90 }, 0, RULES)
    const fares = [{ fareId: 'seat', stock: 10, held: 0, paid: 0 }]
    const united = { state: 'open' as const, fares, tickets: 0, nodes: [] }
    expect(await sales.openUnion('demo', 3, { ...united, floorSeq: 89 })).toMatchObject({ outcome: 'lost_race' })
    expect(await sales.openUnion('demo', 3, { ...united, floorSeq: 90 })).toMatchObject({ outcome: 'certified' })
    expect(await sought()).toEqual(VERSION_ZERO)
  })
})
