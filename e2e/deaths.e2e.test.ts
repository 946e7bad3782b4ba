/** 30,000 buyers, 10,000 tickets; two of four nodes and the coordinator are killed in the middle. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAccessLog } from './access-log.ts'
import { Rush } from './client.ts'
import type { History, Wish } from './client.ts'
import { Cluster, isRunning, saleText } from './cluster.ts'
import type { NodeView } from './cluster.ts'
import { judge, say, TROUBLED, whileBusy, wishOf } from './rush.ts'
import type { Buyer } from './rush.ts'
import { until } from './wait.ts'

const STOCK = 10_000
const BUYERS = 30_000
const LIMIT = 2
/** Every tenth buyer sends one purchase more than the limit allows. */
const EAGER_EVERY = 10

let cluster: Cluster
let buyers: Buyer[]

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 4, sale: saleText({ seat: STOCK }, { limitPerBuyer: LIMIT }) })
  buyers = await cluster.tokens(BUYERS)
})
afterAll(() => cluster.end())

function wishes(): Wish[] {
  return buyers.flatMap((buyer, index) =>
    Array.from({ length: index % EAGER_EVERY === 0 ? LIMIT + 1 : 1 }, () => wishOf(buyer)),
  )
}

interface Kill {
  readonly victim: string
  readonly soldPercent: number
}

/** Not before `percent` of the stock is in the buyers' hands; a node only while purchases of its are under way. */
async function killAt(rush: Rush, percent: number, victim: string, pid: number, node?: NodeView): Promise<Kill> {
  await until(`${percent} % to be sold`, () => rush.sold >= (STOCK * percent) / 100, 60_000)
  const kill = (): boolean => process.kill(pid, 'SIGKILL')
  if (node === undefined) kill()
  else await whileBusy(cluster, node, kill)
  return { victim, soldPercent: (100 * rush.sold) / STOCK }
}

/** Purchases that a buyer heard nothing certain about because this node died with them. */
function lostWith(node: NodeView, history: History): number {
  const ours = new Set(
    history.flatMap(({ attempts }) =>
      attempts.filter(({ status }) => status === 503).flatMap(({ requestId }) => requestId ?? []),
    ),
  )
  const address = new URL(node.url).host
  return parseAccessLog(cluster.accessLog()).filter(
    ({ requestId, upstreams, upstreamStatuses }) =>
      ours.has(requestId) && upstreams.at(-1) === address && upstreamStatuses.at(-1) === '502',
  ).length
}

it('sells exactly 10,000 tickets while two nodes and the coordinator die', async () => {
  const [first, second] = [cluster.node('n2'), cluster.node('n4')]
  const coordinator = cluster.view.coordinators[0]
  if (coordinator === undefined) throw new Error('no coordinator')
  const rush = new Rush(wishes(), { target: () => cluster.view.url, concurrency: 256 })
  const running = rush.run()
  const kills = [
    await killAt(rush, 15, 'n2', first.pid, first),
    await killAt(rush, 35, 'c1', coordinator.pid),
    await killAt(rush, 55, 'n4', second.pid, second),
  ]
  const history = await running

  for (const { soldPercent } of kills) {
    expect(soldPercent).toBeGreaterThanOrEqual(10)
    expect(soldPercent).toBeLessThanOrEqual(90)
  }
  for (const pid of [first.pid, second.pid, coordinator.pid]) expect(isRunning(pid)).toBe(false)
  const lost = await until('the access log to tell of both deaths', () => {
    const counts = [lostWith(first, history), lostWith(second, history)]
    return counts.every((count) => count > 0) && counts
  })
  say(kills.map(({ victim, soldPercent }) => `${victim} killed at ${soldPercent.toFixed(1)} %`).join(', '))
  say(`requests in flight in n2 ${lost[0]}, in n4 ${lost[1]}`)
  expect(await judge(cluster, history, { stock: { seat: STOCK }, limit: LIMIT, answers: TROUBLED })).toEqual([])
})
