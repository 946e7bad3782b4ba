/**
 * One round of chaos: a sale of its own, buyers who keep coming, faults among them drawn by a seed; then everything
 * heals, whatever is left must be sellable to fresh buyers, and the checkers judge the whole history.
 */
import { seededRandom } from '../../runtime/random.ts'
import { lostOrders, nothingLost, ordersOf, type Violation } from '../checkers.ts'
import { type History, Rush, type Wish } from '../client.ts'
import { type Cluster, saleText } from '../cluster.ts'
import { judge, say, TROUBLED, wishOf } from '../rush.ts'
import { pause, until } from '../wait.ts'
import type { Fault, Site } from './faults.ts'
import { keptOrders, sellTheRest, untilSelling, untilWell } from './selling.ts'

const STOCK = 1200
const BUYERS = 700
const LIMIT = 2
/** At a node on the wrong side of a partition. */
const APART = 30
/** Each falls into what the others have broken. */
const AT_ONCE = 4
/** No answer at all is possible: nginx is reloaded without its clients being told, and nodes are met without it. */
const ANSWERS = [...TROUBLED, '409 not_enough', '0']

/** So many of each list are drawn; of a list with as many as are drawn, each comes once. */
export interface Draw {
  readonly from: readonly Fault[]
  readonly count: number
}

export interface Stage {
  readonly cluster: Cluster
  readonly draws: readonly Draw[]
  /** Undoes what a fault may have left. */
  heal(): void
}

export interface RoundReport {
  readonly seed: number
  readonly orders: number
  readonly violations: readonly Violation[]
  /** How often each fault took effect. */
  readonly faults: Readonly<Record<string, number>>
}

export async function chaosRound(stage: Stage, seed: number): Promise<RoundReport> {
  const { cluster } = stage
  const random = seededRandom(seed)
  await untilWell(cluster)
  const saleId = `chaos-${seed}`
  const apart: Promise<History>[] = []
  const site: Site = {
    cluster,
    random,
    saleId,
    async buyAt(url) {
      const buyers = await cluster.tokens(APART, `${saleId}-apart-${apart.length}-`)
      const wishes = buyers.map((buyer) => wishOf(buyer, { saleId }))
      const rush = new Rush(wishes, { target: () => url, attemptsMax: 1000, concurrency: APART })
      apart.push(rush.run())
      await until('buyers at one node', () => rush.attempts >= APART)
    },
  }
  await done(cluster, 'sale', 'create', cluster.space.file('sale.yaml', saleText({ seat: STOCK }, { id: saleId })))
  await done(cluster, 'sale', 'open', saleId)
  await untilSelling(cluster, saleId)

  const buyers = await cluster.tokens(BUYERS, `${saleId}-`)
  const wishes = buyers.map((buyer) => wishOf(buyer, { saleId, quantity: 1 + random.below(LIMIT) }))
  const rush = new Rush(wishes, { target: targets(cluster), attemptsMax: 1000, arrivalMs: 10 })
  const running = rush.run()
  const faults = shuffled(
    site,
    stage.draws.flatMap((draw) => drawn(site, draw)),
  )
  const struck = await strikeAll(site, faults).finally(() => stage.heal())
  const during = [...(await running), ...(await Promise.all(apart)).flat()]
  await untilSelling(cluster, saleId)
  const history = [...during, ...(await sellTheRest(cluster, saleId, STOCK + 1))]
  const violations = await judgeAll(cluster, history, saleId)
  return { seed, orders: ordersOf(history).size, violations, faults: struck }
}

const AWAY = 3

/** As an operator does it: a command that could not reach the cluster, or does not know what came of it, is given again. */
async function done(cluster: Cluster, ...command: readonly string[]): Promise<void> {
  await until(`farebox ${command.join(' ')}`, async () => {
    const { code, json } = await cluster.farebox(...command)
    if (code !== 0 && code !== AWAY) throw new Error(`farebox ${command.join(' ')}: ${code}: ${JSON.stringify(json)}`)
    return code === 0
  })
}

/** Most come through nginx; every fourth buyer goes to a node, as one whose load balancer knows of no deaths. */
function targets(cluster: Cluster): (wish: Wish) => string {
  const nodes = cluster.view.nodes.map(({ url }) => url)
  let direct = 0
  const chosen = new Map<string, string>()
  return ({ key }) => {
    const known = chosen.get(key)
    if (known !== undefined) return known
    const url = chosen.size % 4 === 3 ? nodes[direct++ % nodes.length] : undefined
    chosen.set(key, url ?? cluster.view.url)
    return url ?? cluster.view.url
  }
}

async function judgeAll(cluster: Cluster, history: History, saleId: string): Promise<Violation[]> {
  const found = await judge(cluster, history, { stock: { seat: STOCK }, limit: LIMIT, answers: ANSWERS }, saleId)
  // The ledger takes the last orders in a moment after they were told.
  const kept = async (): Promise<string[]> => keptOrders(cluster, saleId)
  await until('the ledger to have all', async () => lostOrders(history, await kept()).length === 0).catch(() => null)
  return [...found, ...nothingLost(history, await kept())]
}

function drawn({ random }: Site, { from, count }: Draw): Fault[] {
  if (from.length === count) return [...from]
  return Array.from({ length: count }, () => from[random.below(from.length)]).filter((fault) => fault !== undefined)
}

function shuffled({ random }: Site, faults: Fault[]): Fault[] {
  for (let last = faults.length - 1; last > 0; last -= 1) {
    const other = random.below(last + 1)
    const [a, b] = [faults[last], faults[other]]
    if (a !== undefined && b !== undefined) [faults[last], faults[other]] = [b, a]
  }
  return faults
}

async function strikeAll(site: Site, faults: readonly Fault[]): Promise<Record<string, number>> {
  const struck: Record<string, number> = {}
  let next = 0
  const strike = async (): Promise<void> => {
    for (let fault = faults[next++]; fault !== undefined; fault = faults[next++]) {
      const times = await fault.strike(site)
      struck[fault.name] = (struck[fault.name] ?? 0) + times
      await pause(site.random.below(200))
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, strike))
  // Not before all have ended: what still strikes would strike the next round, in which nobody expects it.
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
  return struck
}

export function report({ seed, orders, violations, faults }: RoundReport): void {
  const list = Object.entries(faults).map(([name, times]) => `${name} ${times}`)
  say(
    `seed ${seed}: ${violations.length === 0 ? 'all promises kept' : 'VIOLATED'}; ${orders} orders; ${list.join(', ')}`,
  )
  for (const { rule, witness } of violations) say(`  ${rule}: ${witness}`)
}
