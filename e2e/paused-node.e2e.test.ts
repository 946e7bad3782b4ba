/** A node is stopped for five seconds in the middle of a sale, with purchases under way, and goes on. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Rush } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import type { FleetNode } from './cluster.ts'
import { judge, say, TROUBLED, whileBusy, wishOf } from './rush.ts'
import { pause, until } from './wait.ts'

const STOCK = 6000
const STOPPED_MS = 5000

let cluster: Cluster
beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: STOCK }) })
})
afterAll(() => cluster.end())

async function fleetNode(id: string): Promise<FleetNode> {
  const node = (await cluster.fleet()).find((candidate) => candidate.id === id)
  if (node === undefined) throw new Error(`${id} is not in the fleet`)
  return node
}

it('is fenced, joins anew, leaves no ghost holds and loses nothing', async () => {
  const node = cluster.node('n3')
  const before = await fleetNode('n3')
  const wishes = (await cluster.tokens(8000)).map((buyer) => wishOf(buyer))
  const target = (): string => cluster.view.url

  // The first half of the buyers comes while the node is stopped, the rest when it is back.
  const firstRush = new Rush(wishes.slice(0, 4000), { target })
  const running = firstRush.run()
  await until('a tenth to be sold', () => firstRush.sold >= STOCK / 10)
  const underWay = await whileBusy(cluster, node, () => process.kill(node.pid, 'SIGSTOP'))
  const stoppedAtMs = performance.now()
  const soldPercent = (100 * firstRush.sold) / STOCK
  expect(soldPercent).toBeGreaterThanOrEqual(10)
  expect(soldPercent).toBeLessThanOrEqual(90)
  await until('the node to be declared dead', async () => (await fleetNode('n3')).state === 'dead')
  await pause(STOPPED_MS - (performance.now() - stoppedAtMs))
  process.kill(node.pid, 'SIGCONT')

  const first = await running
  const after = await until('the node to join anew', async () => {
    const found = await fleetNode('n3')
    return found.state === 'live' && found.epoch > before.epoch && found
  })
  // It sells again, asked directly.
  const own = new Rush(wishes.slice(4000, 4200), { target: () => node.url })
  const byItself = await own.run()
  expect(own.sold).toBe(200)
  const rest = await new Rush(wishes.slice(4200), { target }).run()

  say(`stopped at ${soldPercent.toFixed(1)} % with ${underWay} tickets under way`)
  say(`epoch ${before.epoch}, then ${after.epoch}`)
  const history = [...first, ...byItself, ...rest]
  expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: 2, answers: TROUBLED })).toEqual([])
})
