/**
 * One round of chaos: a sale of its own, buyers who keep coming, faults among them drawn by a seed; then everything
 * heals, whatever is left must be sellable to fresh buyers, and the checkers judge the whole history.
 */
import { seededRandom } from '../../runtime/random.ts'
import type { Violation } from '../checkers.ts'
import { type History, Rush } from '../client.ts'
import type { Cluster } from '../cluster.ts'
import { saleText } from '../cluster.ts'
import { judge, say, TROUBLED, wishOf } from '../rush.ts'
import { pause, until } from '../wait.ts'
import { DROPS, type Fault, KILLS, OTHERS, PAUSES, type Site } from './faults.ts'
import type { OwnRedis } from './own-redis.ts'

const STOCK = 1500
const BUYERS = 900
const LIMIT = 2
/** No answer at all is possible: nginx is reloaded without its clients being told. */
const ANSWERS = [...TROUBLED, '409 not_enough', '0']
const SELLS_AGAIN_WITHIN_MS = 30_000

export interface RoundReport {
  readonly seed: number
  readonly violations: readonly Violation[]
  /** How often each fault took effect. */
  readonly faults: Readonly<Record<string, number>>
}

export async function chaosRound(cluster: Cluster, redis: OwnRedis, seed: number): Promise<RoundReport> {
  const random = seededRandom(seed)
  const site: Site = { cluster, redis, random }
  const saleId = `chaos-${seed}`
  await cluster.read('sale', 'create', cluster.space.file('sale.yaml', saleText({ seat: STOCK }, { id: saleId })))
  await cluster.read('sale', 'open', saleId)
  const target = (): string => cluster.view.url
  await untilSelling(cluster, saleId)

  const buyers = await cluster.tokens(BUYERS, `${saleId}-`)
  const wishes = buyers.map((buyer) => wishOf(buyer, { saleId, quantity: 1 + random.below(LIMIT) }))
  const faults = draw(site)
  const rush = new Rush(wishes, { target, attemptsMax: 1000, arrivalMs: 10 })
  const running = rush.run()
  const struck = await strikeAll(site, faults)
  redis.proxy.heal()
  const during = await running
  await untilSelling(cluster, saleId)
  const after = await sellTheRest(cluster, saleId)
  const history = [...during, ...after]
  const violations = await judge(cluster, history, { stock: { seat: STOCK }, limit: LIMIT, answers: ANSWERS }, saleId)
  return { seed, violations, faults: struck }
}

/** Six kills, three pauses, some swallowed replies and one other thing, in an order of their own. */
function draw({ random }: Site): Fault[] {
  const some = (from: readonly Fault[], count: number): Fault[] =>
    Array.from({ length: count }, () => from[random.below(from.length)]).filter((fault) => fault !== undefined)
  const drawn = [...some(KILLS, 6), ...some(PAUSES, 3), ...some(DROPS, 3), ...some(OTHERS, 2)]
  for (let last = drawn.length - 1; last > 0; last -= 1) {
    const other = random.below(last + 1)
    const [a, b] = [drawn[last], drawn[other]]
    if (a !== undefined && b !== undefined) [drawn[last], drawn[other]] = [b, a]
  }
  return drawn
}

/** Two at a time: the second falls into what the first has broken. */
async function strikeAll(site: Site, faults: readonly Fault[]): Promise<Record<string, number>> {
  const struck: Record<string, number> = {}
  let next = 0
  const strike = async (): Promise<void> => {
    for (let fault = faults[next++]; fault !== undefined; fault = faults[next++]) {
      const times = await fault.strike(site)
      struck[fault.name] = (struck[fault.name] ?? 0) + times
      await pause(site.random.below(400))
    }
  }
  await Promise.all([strike(), strike()])
  return struck
}

/** Every node sells: asked one by one, so that nobody is spared by the others. */
async function untilSelling(cluster: Cluster, saleId: string): Promise<void> {
  for (const { id, adminUrl } of cluster.view.nodes) {
    await until(
      `node ${id} to sell`,
      async () => {
        const state = (await fetch(`${adminUrl}/state`)
          .then((answer) => answer.json())
          .catch(() => ({}))) as { sales?: { saleId: string; recovering: boolean; state: string }[] }
        return state.sales?.some((sale) => sale.saleId === saleId && !sale.recovering && sale.state === 'open') ?? false
      },
      SELLS_AGAIN_WITHIN_MS,
    )
  }
}

/** Fresh buyers, one ticket each, until nobody gets one. */
async function sellTheRest(cluster: Cluster, saleId: string): Promise<History> {
  const buyers = await cluster.tokens(STOCK + 1, `${saleId}-late-`)
  const rush = new Rush(
    buyers.map((buyer) => wishOf(buyer, { saleId })),
    { target: () => cluster.view.url, attemptsMax: 200 },
  )
  return rush.run()
}

export function report({ seed, violations, faults }: RoundReport): void {
  const list = Object.entries(faults).map(([name, times]) => `${name} ${times}`)
  say(`seed ${seed}: ${violations.length === 0 ? 'all promises kept' : 'VIOLATED'}; ${list.join(', ')}`)
  for (const { rule, witness } of violations) say(`  ${rule}: ${witness}`)
}
