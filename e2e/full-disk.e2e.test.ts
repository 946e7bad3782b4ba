/**
 * The ledger's disk full while payments come in: on a file system of its own, which is mounted here and small.
 * What cannot be written is not acknowledged, what was acknowledged is there, and room on the disk is all it needs.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ordersOf } from './checkers.ts'
import { jsonOf, request, Rush } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { Provider, type Payable } from './provider.ts'
import { forEach, HEALTHY, judge, say, wishOf } from './rush.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'
import { until } from './wait.ts'

const DISK_MB = 160
const PAYING = 240
const LATER = 200
const STOCK = PAYING + LATER

let disk: SmallDisk
let cluster: Cluster
beforeAll(async () => {
  disk = mountSmallDisk(DISK_MB)
  const config = `ledger: { url: "pglite://${join(disk.path, 'ledger')}" }\n`
  cluster = await Cluster.up({ nodes: 1, sale: saleText({ seat: STOCK }), config })
})
afterAll(async () => {
  try {
    await cluster.end()
  } finally {
    disk.unmount()
  }
})

it('stops acknowledgements of payment and nothing else, loses none, and ends with room on the disk', async () => {
  const buyers = await cluster.tokens(STOCK + 20)
  const payers = buyers.slice(0, PAYING)
  const orders: Payable[] = []
  const first = new Rush(
    payers.map((one) => wishOf(one)),
    { target: () => cluster.view.url },
  )
  const history = [...(await first.run())]
  for (const { id, purchase } of ordersOf(history).values()) {
    orders.push({ orderId: id, buyer: { buyer: purchase.buyer, token: purchase.token ?? '' } })
  }
  const provider = new Provider(cluster)
  await forEach(orders, async (order) => {
    expect((await provider.startPayment(order)).status).toBe(200)
  })

  const telling = provider.tellAll(orders.map(({ orderId }) => orderId))
  await until('some to be believed', () => provider.acknowledged.size > PAYING / 4)
  disk.fill()
  const fullMs = performance.now()
  const later = new Rush(
    buyers.slice(PAYING).map((one) => wishOf(one)),
    { target: () => cluster.view.url },
  )
  history.push(...(await later.run()))
  await until(
    'payments that are not acknowledged',
    () => provider.told.filter(({ status }) => status !== 200).length > 60,
  )
  const refused = provider.told.filter(({ status }) => status !== 200)
  expect(new Set(refused.map(({ status, code }) => `${status} ${code}`))).toEqual(new Set(['503 busy']))
  const [any] = orders as [Payable]
  const unpaid = orders.find(({ orderId }) => !provider.acknowledged.has(orderId)) ?? any
  const headers = { Authorization: `Bearer ${unpaid.buyer.token}` }
  const shown = await request(`${cluster.view.url}/api/orders/${unpaid.orderId}`, { headers })
  expect([shown.status, jsonOf(shown)['state']]).toEqual([200, 'held'])
  say(`${provider.acknowledged.size} of ${PAYING} payments were acknowledged, ${refused.length} tellings refused`)

  disk.empty()
  await telling
  say(`all payments were acknowledged ${Math.round(performance.now() - fullMs)} ms after the disk was full`)
  expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: HEALTHY })).toEqual([])
  const { items } = await cluster.read<{ items: { id: string; state: string }[] }>('sale', 'export', 'rush')
  expect(items.map(({ id }) => id).toSorted()).toEqual([...ordersOf(history).keys()].toSorted())
  const paid = items.filter(({ state }) => state === 'paid').map(({ id }) => id)
  expect(paid.toSorted()).toEqual(orders.map(({ orderId }) => orderId).toSorted())
})
