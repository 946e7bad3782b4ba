/** No ticket is kept where nobody asks for it: neither by idle nodes, nor by many nodes with few tickets. */
import { afterEach, expect, it } from 'vitest'
import { Rush } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { HEALTHY, judge, wishOf } from './rush.ts'

let cluster: Cluster | null = null
afterEach(async () => {
  await cluster?.end()
  cluster = null
})

it('all buyers on one node of four: it sells every ticket', async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: 2000 }) })
  const { url } = cluster.node('n1')
  const buyers = await cluster.tokens(2500)
  const rush = new Rush(
    buyers.map((buyer) => wishOf(buyer)),
    { target: () => url },
  )
  expect(await judge(cluster, await rush.run(), { stock: { seat: 2000 }, limit: 2, answers: HEALTHY })).toEqual([])
})

it('twenty nodes, fifty tickets, quantities 1 and 2: every ticket sells', async () => {
  cluster = await Cluster.up({ nodes: 20, sale: saleText({ seat: 50 }) })
  const urls = cluster.view.nodes.map(({ url }) => url)
  const buyers = await cluster.tokens(120)
  const rush = new Rush(
    buyers.map((buyer, index) => wishOf(buyer, { quantity: 1 + (index % 2) })),
    { target: ({ buyer }) => urls[Number(buyer.replace('buyer-', '')) % urls.length] ?? '', concurrency: 40 },
  )
  const history = await rush.run()
  expect(new Set(history.flatMap(({ attempts }) => attempts.map(({ target }) => target))).size).toBe(20)
  expect(
    await judge(cluster, history, { stock: { seat: 50 }, limit: 2, answers: [...HEALTHY, '409 not_enough'] }),
  ).toEqual([])
})
