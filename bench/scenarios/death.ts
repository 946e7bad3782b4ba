/**
 * kill -9 of a node in the middle of a sale, and the numbers of its death: what was stranded, how soon it was noticed,
 * how soon the others had sold what it would have sold, how many requests failed.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { StoredOrder } from '../report/attempts.ts'
import { ordersTold, ticketsByFare } from '../report/buyer-faults.ts'
import type { Figure } from '../report/document.ts'
import { RULES } from '../ratios/site.ts'
import type { Outcome, Stage } from './spec.ts'

const LOOK_EVERY_MS = 10
const NOTICED_WITHIN_MS = 15_000

interface Death {
  readonly atMs: number
  readonly remaining: number
  /** Of the weights, which are equal. */
  readonly share: number
}

export class NodeDeath {
  #death: Death | null = null

  readonly during = async (stage: Stage): Promise<void> => {
    const { cluster, size } = stage
    const victim = cluster.view.nodes[0]
    if (victim === undefined || size.nodes < 2) throw new Error('a death needs two nodes')
    const remaining = async (): Promise<number> => {
      const sale = await cluster.stock.sales.read(cluster.saleId, RULES)
      return sale?.fares.reduce((sum, fare) => sum + fare.remaining, 0) ?? Number.NaN
    }
    if ((await stage.until(async () => (await remaining()) <= size.stock / 2)) === 'over') {
      throw new Error('the buyers were gone before half of the tickets were')
    }
    stage.excuse(victim.id)
    const left = await remaining()
    process.kill(victim.pid, 'SIGKILL')
    this.#death = { atMs: Date.now(), remaining: left, share: 1 / size.nodes }
    stage.mark(`kill -9 of node ${victim.id}, ${left} tickets remain`)
    await this.#watch(stage, victim.id)
  }

  /** Until the coordinator has declared it dead, and the store reckons without its weight. */
  async #watch(stage: Stage, victimId: string): Promise<void> {
    const { cluster } = stage
    const killedMs = performance.now()
    const found: { declaredMs: number | null; unweightedMs: number | null } = { declaredMs: null, unweightedMs: null }
    while (performance.now() - killedMs < NOTICED_WITHIN_MS) {
      const [fleet, sale] = await Promise.all([
        cluster.stock.fleet.read(),
        cluster.stock.sales.read(cluster.saleId, RULES),
      ])
      const afterMs = performance.now() - killedMs
      const isDeclared = fleet.nodes.some(({ id, state }) => id === victimId && state === 'dead')
      if (isDeclared && found.declaredMs === null) {
        found.declaredMs = afterMs
        stage.mark(`${victimId} is declared dead`)
      }
      if (sale?.nodes.some(({ id, live }) => id === victimId && !live)) found.unweightedMs ??= afterMs
      if (found.declaredMs !== null && found.unweightedMs !== null) break
      await pause(LOOK_EVERY_MS)
    }
    stage.tell({ name: 'until it was declared dead', value: rounded(found.declaredMs), unit: 'ms' })
    stage.tell({ name: 'until its weight had left the shares', value: rounded(found.unweightedMs), unit: 'ms' })
  }

  readonly figures = ({ attempts, orders }: Outcome): Figure[] => {
    const death = this.#death
    const failed = attempts.filter(({ outcome, answeredMs }) => outcome === 'again' && answeredMs >= (death?.atMs ?? 0))
    const told = [...ticketsByFare(ordersTold(attempts)).values()].reduce((sum, tickets) => sum + tickets, 0)
    return [
      ...shareFigures(death, orders),
      { name: 'requests failed after the kill (each was repeated)', value: failed.length, unit: 'requests' },
      ...byStatus(failed.map(({ status, what }) => `${status || 'no answer'} ${what}`.trim())),
      { name: 'tickets with buyers', value: told, unit: 'tickets' },
    ]
  }
}

/** Of what remained at the kill, the last `share` would have been the dead node's to sell. */
export function shareFigures(death: Death | null, orders: readonly StoredOrder[]): Figure[] {
  const later = orders
    .filter(({ createdAtMs }) => death !== null && createdAtMs > death.atMs)
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
  const tickets = later.reduce((sum, { quantity }) => sum + quantity, 0)
  const others = Math.floor(tickets * (1 - (death?.share ?? 0)))
  const first = later[others]
  const last = later.at(-1)
  const since = (order: StoredOrder | undefined): number | null =>
    death === null || order === undefined ? null : order.createdAtMs - death.atMs
  return [
    { name: "the dead node's share at the kill", value: later.length - others, unit: 'tickets' },
    { name: 'until others sold the first of its share', value: since(first), unit: 'ms' },
    { name: 'until others had sold all of its share', value: since(last), unit: 'ms' },
  ]
}

function byStatus(answers: readonly string[]): Figure[] {
  return [...new Set(answers)].map((answer) => ({
    name: `of these: ${answer}`,
    value: answers.filter((one) => one === answer).length,
    unit: 'requests',
  }))
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms)
}
