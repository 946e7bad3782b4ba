/** Redis is killed in the middle of a sale and started again by hand, as its operator would. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { jsonOf, request, Rush } from './client.ts'
import { Cluster, saleText, untilGone } from './cluster.ts'
import { forEach, inFlightOf, judge, say, TROUBLED, wishOf } from './rush.ts'
import { until } from './wait.ts'

const STOCK = 8000

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: STOCK }) })
})
afterAll(() => cluster.end())

async function inFlight(): Promise<number> {
  const counts = await Promise.all(cluster.view.nodes.map(inFlightOf))
  return counts.reduce((sum, count) => sum + count, 0)
}

it('the sale goes on by itself, exact, and no acknowledged order is lost', async () => {
  const buyers = await cluster.tokens(10_000)
  const rush = new Rush(
    buyers.map((buyer) => wishOf(buyer)),
    { target: () => cluster.view.url },
  )
  const running = rush.run()
  const { pid } = cluster.view.redis
  await until('a fifth to be sold', () => rush.sold >= STOCK / 5)
  // Held for a moment, so that it dies with work before it.
  process.kill(pid, 'SIGSTOP')
  const underWay = await until('purchases to be under way', inFlight)
  process.kill(pid, 'SIGKILL')
  const killedMs = performance.now()
  const soldPercent = (100 * rush.sold) / STOCK
  expect(soldPercent).toBeGreaterThanOrEqual(10)
  expect(soldPercent).toBeLessThanOrEqual(90)
  await untilGone([pid])
  // Whoever looks now is told what is wrong and what to do; whoever wants something is told why not.
  const seen = await cluster.farebox('status')
  expect([seen.code, seen.json]).toMatchObject([1, { ok: false, redis: { answers: false } }])
  const told = JSON.stringify(seen.json)
  expect(told).toContain('process redis does not run')
  expect(told).toContain(`redis-server ${cluster.view.redis.config}`)
  const refused = await cluster.farebox('nodes')
  expect([refused.code, refused.json]).toMatchObject([3, { error: { code: 'store_away' } }])
  const soldBefore = rush.sold
  cluster.startRedis()
  await until('the sale to go on', () => rush.sold > soldBefore + 100, 30_000)
  const goesOnAfterMs = performance.now() - killedMs
  const history = await running

  const acknowledged = history.flatMap((purchase) =>
    purchase.attempts.flatMap(({ orderId, completedMs }) =>
      orderId !== null && completedMs < killedMs ? [{ orderId, purchase }] : [],
    ),
  )
  const lost: string[] = []
  await forEach(acknowledged, async ({ orderId, purchase }) => {
    const headers = { Authorization: `Bearer ${purchase.token ?? ''}` }
    const reply = await request(`${cluster.view.url}/api/orders/${orderId}`, { headers })
    if (reply.status !== 200 || jsonOf(reply)['id'] !== orderId) lost.push(`${orderId}: ${reply.status}`)
  })
  expect(lost).toEqual([])
  say(`killed at ${soldPercent.toFixed(1)} % with ${underWay} tickets under way`)
  say(`sold again after ${Math.round(goesOnAfterMs)} ms; ${acknowledged.length} orders from before are there`)
  expect(acknowledged.length).toBeGreaterThanOrEqual(STOCK / 10)
  expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: TROUBLED })).toEqual([])
})
