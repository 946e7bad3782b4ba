/** A counter changed by hand by one, a record removed by hand: `audit` exits 1 and names it. */
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Rush } from './client.ts'
import type { History } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import type { AuditReport } from './cluster.ts'
import { HEALTHY, judge, wishOf } from './rush.ts'
import { BUYERS, ORDERS, SALE, withStore } from './store.ts'

let cluster: Cluster
let history: History

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 3, sale: saleText({ seat: 40 }) })
  const buyers = await cluster.tokens(60)
  const rush = new Rush(
    buyers.map((buyer) => wishOf(buyer)),
    { target: () => cluster.view.url, concurrency: 20 },
  )
  history = await rush.run()
})
afterAll(() => cluster.end())

function inStore<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
  return withStore(cluster.view.redis.url, work)
}

/** Audit while damaged: exit code 1, which `audit()` makes sure of, and the problems. */
async function auditWhile(damage: (redis: Redis) => Promise<unknown>, repair: (redis: Redis) => Promise<unknown>) {
  await inStore(damage)
  try {
    const { ok, problems }: AuditReport = await cluster.audit()
    expect(ok).toBe(false)
    return problems
  } finally {
    await inStore(repair)
  }
}

async function isWholeAgain(): Promise<void> {
  expect(await judge(cluster, history, { stock: { seat: 40 }, limit: 2, answers: HEALTHY })).toEqual([])
}

it.each(['stock', 'remaining', 'held', 'paid'])('counter %s one too high or too low is named', async (counter) => {
  await inStore((redis) => redis.hincrby(SALE, `${counter}:seat`, 1))
  const status = await cluster.farebox('status')
  await inStore((redis) => redis.hincrby(SALE, `${counter}:seat`, -1))
  expect(status.code).toBe(1)
  expect(JSON.stringify(status.json)).toContain('do not add up')
  for (const by of [1, -1]) {
    const problems = await auditWhile(
      (redis) => redis.hincrby(SALE, `${counter}:seat`, by),
      (redis) => redis.hincrby(SALE, `${counter}:seat`, -by),
    )
    expect(problems.map(({ witness }) => witness).join('\n')).toContain(`fare seat: `)
    expect(problems.map(({ witness }) => witness).join('\n')).toMatch(new RegExp(`\\b${counter}\\b`))
  }
  await isWholeAgain()
})

it('an order record that was removed is named', async () => {
  const id = history.flatMap(({ attempts }) => attempts.flatMap(({ orderId }) => orderId ?? []))[7] ?? ''
  const record = await inStore((redis) => redis.hget(ORDERS, id))
  expect(record).not.toBeNull()
  const problems = await auditWhile(
    (redis) => redis.hdel(ORDERS, id),
    (redis) => redis.hset(ORDERS, id, record ?? ''),
  )
  expect(problems.map(({ witness }) => witness).join('\n')).toContain(id)
  await isWholeAgain()
})

it("a quantity in an order's record changed by one is named", async () => {
  const purchase = history.find(({ attempts }) => attempts.some(({ orderId }) => orderId !== null))
  const id = purchase?.attempts.find(({ orderId }) => orderId !== null)?.orderId ?? ''
  const record = (await inStore((redis) => redis.hget(ORDERS, id))) ?? ''
  const problems = await auditWhile(
    (redis) => redis.hset(ORDERS, id, record.replace(/^(\S+ \S+) 1 /, '$1 2 ')),
    (redis) => redis.hset(ORDERS, id, record),
  )
  expect(problems.map(({ witness }) => witness).join('\n')).toContain('the order records sum to 41')
  await isWholeAgain()
})

it("a buyer's count changed by one is named", async () => {
  const { buyer } = history.find(({ attempts }) => attempts.some(({ orderId }) => orderId !== null)) ?? { buyer: '' }
  const record = (await inStore((redis) => redis.hget(BUYERS, buyer))) ?? ''
  const problems = await auditWhile(
    (redis) => redis.hset(BUYERS, buyer, record.replace(/^1 /, '2 ')),
    (redis) => redis.hset(BUYERS, buyer, record),
  )
  expect(problems.map(({ witness }) => witness).join('\n')).toContain(buyer)
  await isWholeAgain()
})
