/** The whole pipeline over a real Redis and an embedded ledger, with its own timers. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { createLogger } from '../../runtime/logger.ts'
import { Metrics } from '../../runtime/metrics.ts'
import { startTestRedis, type TestRedis } from '../../stock/conformance/test-redis.ts'
import { conservationFault } from '../../stock/core/sale-record.ts'
import type { Order, SaleDefinition } from '../../stock/core/words.ts'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import type { StockPort } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { openLedger } from '../ledger/open-ledger.ts'
import { Pipeline } from './pipeline.ts'

const SALE = 'demo'
const RULES = { buffer: { tickets: 1 }, deadAfterMs: 60_000 }
const DEFINITION: SaleDefinition = {
  id: SALE,
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  // Long enough that a busy machine buys, pays and cancels before the first lapses.
  holdMs: 6000,
  fares: [
    { id: 'second', name: 'Second', price: { amount: 100, currency: 'CNY' }, stock: 3000 },
    { id: 'standing', name: 'Standing', price: { amount: 50, currency: 'CNY' }, stock: 3000 },
  ],
  orderIdSecret: '00',
}
const DEADLINE = { timeout: 30_000, interval: 50 }

let redis: TestRedis
let directory: string
let port: StockPort
let ledger: Ledger
let closeLedger: () => Promise<void>
const recovering: string[] = []
const pipelines: Pipeline[] = []

beforeAll(async () => {
  redis = await startTestRedis()
  directory = await mkdtemp(join(tmpdir(), 'farebox-pipeline-'))
  port = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
  const opened = await openLedger(`pglite://${directory}`)
  ledger = opened.ledger
  closeLedger = () => opened.database.close()
  await ledger.createSale(DEFINITION)
  await port.sales.create(DEFINITION, 1)
  await port.sales.change(SALE, 'open', { era: 0, seq: 0 })
})

afterAll(async () => {
  await Promise.all(pipelines.map((pipeline) => pipeline.stop()))
  await closeLedger()
  await port.close()
  await redis.stop()
  await rm(directory, { recursive: true, force: true })
})

function startPipeline(): { pipeline: Pipeline; metrics: Metrics } {
  const metrics = new Metrics()
  const pipeline = new Pipeline({
    ledger,
    store: port.sales,
    clock: systemClock,
    storeNowMs: () => systemClock.nowMs(),
    metrics,
    log: createLogger({ level: 'silent' }),
    onRecovering: (_saleId, why) => void recovering.push(why),
    onOverrun: () => {},
    keepEventsMs: 500,
  })
  pipelines.push(pipeline)
  pipeline.start()
  return { pipeline, metrics }
}

/** Two tickets for each of so many buyers, in batches as a node sends them. */
async function buy(from: number, count: number): Promise<string[]> {
  const joined = await port.sales.join(SALE, { id: 'n1', weight: 1 }, { era: 0, seq: 0 }, 0, RULES)
  if (joined.outcome !== 'joined') throw new Error(joined.outcome)
  const caller = { nodeId: 'n1', epoch: joined.epoch, seen: joined.version, lastWriteSeq: 0 }
  const orderIds: string[] = []
  for (let at = from; at < from + count; at += 64) {
    const items = Array.from({ length: Math.min(64, from + count - at) }, (_, index) => ({
      orderId: `order${String(at + index).padStart(21, '0')}`,
      buyer: `buyer ${at + index}`,
      fareId: index % 2 === 0 ? 'second' : 'standing',
      quantity: 2,
      deadlineMs: systemClock.nowMs() + 10_000,
    }))
    const reply = await port.sales.confirm(SALE, caller, items, RULES)
    if (reply.outcome !== 'judged') throw new Error(reply.outcome)
    orderIds.push(...reply.verdicts.flatMap(({ order }) => order?.id ?? []))
  }
  return orderIds
}

async function stored(): Promise<Map<string, string>> {
  const orders: Order[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const page = await port.sales.scanOrders(SALE, cursor)
    orders.push(...page.orders)
    cursor = page.cursor
  }
  return new Map(orders.map(({ id, state, reason }) => [id, reason ?? state] as const))
}

async function rows(): Promise<Map<string, string>> {
  const found = await ledger.scanOrders(SALE, null, 10_000)
  return new Map(
    found.map(
      ({ id, state, reason, isSettled }) => [id, `${reason ?? state}${isSettled ? '' : ' unsettled'}`] as const,
    ),
  )
}

async function expectAgreement(): Promise<void> {
  expect(await rows()).toEqual(await stored())
  const snapshot = await port.sales.read(SALE, RULES)
  const sums = await ledger.sums(SALE)
  for (const fare of snapshot?.fares ?? []) {
    expect(conservationFault(fare.fareId, fare)).toBeNull()
    expect(sums.find(({ fareId }) => fareId === fare.fareId)).toMatchObject({ held: fare.held, paid: fare.paid })
  }
}

describe('orders on their way', () => {
  it('come into the ledger once while two pipelines run, are paid, cancelled, and lapse', async () => {
    const [{ pipeline }] = [startPipeline(), startPipeline()]
    const orderIds = await buy(0, 1000)
    expect(orderIds).toHaveLength(1000)
    const paid = orderIds.slice(0, 100)
    const cancelled = orderIds.slice(100, 200)
    // Some of these are not in the ledger yet.
    const results = await Promise.all([
      ...paid.map((id) => pipeline.fates.pay(id)),
      ...cancelled.map((id) => pipeline.fates.cancel(id)),
    ])
    expect(new Set(results.map(({ outcome }) => outcome))).toEqual(new Set(['decided']))
    await vi.waitFor(async () => {
      const states = [...(await rows()).values()]
      expect(states.filter((state) => state === 'expired')).toHaveLength(800)
    }, DEADLINE)
    await vi.waitFor(expectAgreement, DEADLINE)
    const counts = new Map<string, number>()
    for (const state of (await rows()).values()) counts.set(state, (counts.get(state) ?? 0) + 1)
    expect(counts).toEqual(
      new Map([
        ['paid', 100],
        ['cancelled', 100],
        ['expired', 800],
      ]),
    )
    expect(recovering).toEqual([])
  })

  it('leave no events behind that the ledger has had for a while', async () => {
    const hand = new Redis(redis.url)
    try {
      await vi.waitFor(async () => expect(await hand.xlen(`farebox:{sale-${SALE}}:events`)).toBe(0), DEADLINE)
    } finally {
      hand.disconnect()
    }
    await buy(1000, 10)
    await vi.waitFor(async () => expect((await rows()).size).toBe(1010), DEADLINE)
  })

  it('are refused by a ledger whose era has moved, and taken once the store is certified for it', async () => {
    const era = (await ledger.sale(SALE))?.era ?? 0
    await ledger.beginEra(SALE, era)
    await buy(1010, 10)
    await vi.waitFor(() => expect(recovering).toContain('fenced'), DEADLINE)
    expect((await rows()).size).toBe(1010)
    await port.sales.certify(SALE, { era, seq: 0 }, era + 1, 0)
    await vi.waitFor(async () => expect((await rows()).size).toBe(1020), DEADLINE)
  })

  it('are shown in the metrics', async () => {
    const [{ metrics }] = [startPipeline()]
    await buy(1020, 100)
    await vi.waitFor(async () => expect((await rows()).size).toBe(1120), DEADLINE)
    await vi.waitFor(async () => {
      const { body } = await metrics.scrape()
      expect(body).toMatch(/farebox_orders_lag_ms\{sale="demo"\} 0\n/)
      expect(body).toMatch(/farebox_dead_letters\{sale="demo"\} 0\n/)
    }, DEADLINE)
  })
})
