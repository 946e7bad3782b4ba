/** `ack: replicated` on a real primary and replica: nobody hears of an order that the replica lacks. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buyOnce, freshKey, type Wish } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { startRedisPair, type RedisPair } from './redis-pair.ts'
import { until } from './wait.ts'

let pair: RedisPair
let cluster: Cluster
beforeAll(async () => {
  pair = await startRedisPair()
  cluster = await Cluster.up({
    nodes: 2,
    sale: saleText({ seat: 100 }),
    config: `ack: replicated\nredis: { url: '${pair.url}' }\n`,
  })
})
afterAll(async () => {
  await cluster.end()
  await pair.end()
})

async function wish(buyer: string): Promise<Wish> {
  return {
    buyer,
    token: await cluster.token(buyer),
    key: freshKey(),
    saleId: cluster.saleId,
    fareId: 'seat',
    quantity: 1,
  }
}

it('an order is answered when the replica has it; else its outcome is unknown, and the same key finds it later', async () => {
  const before = await buyOnce(await wish('before'), cluster.view.url)
  expect(before.status).toBe(201)
  expect(await pair.replicaHas(before.orderId ?? '')).toBe(true)

  pair.stopReplica()
  const unlucky = await wish('unlucky')
  const unknown = await buyOnce(unlucky, cluster.view.url)
  expect([unknown.status, unknown.code]).toEqual([503, 'outcome_unknown'])
  // Nobody else is taken in by the node that knows.
  const late = await wish('late')
  const shed = await Promise.all(cluster.view.nodes.map(({ url }) => buyOnce(late, url)))
  expect(shed.map(({ code }) => code)).toContain('busy')
  expect(shed.every(({ status }) => status === 503)).toBe(true)

  pair.continueReplica()
  const known = await until('the sale to go on', async () => {
    const attempt = await buyOnce(unlucky, cluster.view.url)
    return attempt.orderId === null ? null : attempt
  })
  expect(known.status).toBe(200)
  expect(await pair.replicaHas(known.orderId ?? '')).toBe(true)
  await until('the others to be served', async () => (await buyOnce(late, cluster.view.url)).orderId)
  expect(await cluster.audit()).toMatchObject({ ok: true })
})
