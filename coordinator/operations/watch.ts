/** One look at a running sale for `watch`: counters of the store, quotas and metrics of every node, alarms. */
import { nodesView, saleView, type SaleView } from './views.ts'
import { status } from './status.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

/** The text of a node's `/metrics`, or null when it does not answer. */
export type AskMetrics = (adminUrl: string) => Promise<string | null>

export interface WatchNode {
  readonly id: string
  readonly state: string
  readonly weight: number
  readonly isHeard: boolean
  /** All null where the node does not answer. Sums over the sales looked at. */
  readonly allowance: number | null
  readonly inFlight: number | null
  readonly parked: number | null
  readonly heartbeatAgeMs: number | null
  readonly counts: NodeCounts | null
}

/** Counted since the process began: rates are what two looks differ by. */
export interface NodeCounts {
  /** Buy calls by how they ended. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly calls: number
  readonly items: number
  readonly storeErrors: number
  /** Buys answered within so many seconds, cumulative; `+Inf` is all. */
  readonly answered: Readonly<Record<string, number>>
}

export interface WatchFrame {
  readonly at: string
  /** The store's clock, for rates. */
  readonly nowMs: number
  readonly leader: string | null
  readonly sales: readonly SaleView[]
  readonly nodes: readonly WatchNode[]
  readonly alarms: readonly string[]
}

export async function watch(
  world: World,
  askMetrics: AskMetrics,
  known: { readonly declaredDurable: boolean },
  saleId: string | null,
): Promise<WatchFrame> {
  const [fleet, health] = await Promise.all([world.port.fleet.read(), status(world, known)])
  const ids = saleId === null ? fleet.saleIds : [saleId]
  const sales = (await Promise.all(ids.map((id) => readSale(world, id)))).map(saleView)
  const nodes = await Promise.all(
    nodesView(fleet, world.rules).items.map(async ({ id, state, weight, isHeard }): Promise<WatchNode> => {
      const adminUrl = fleet.nodes.find((node) => node.id === id)?.adminUrl ?? ''
      const [report, text] = isHeard ? await Promise.all([world.askNode(adminUrl), askMetrics(adminUrl)]) : [null, null]
      const mine = report?.sales.filter((sale) => ids.includes(sale.saleId)) ?? []
      const sum = (read: (sale: (typeof mine)[number]) => number): number | null =>
        report === null ? null : mine.reduce((total, sale) => total + read(sale), 0)
      return {
        id,
        state,
        weight,
        isHeard,
        allowance: sum((sale) => sale.fares.reduce((total, fare) => total + fare.allowance, 0)),
        inFlight: sum((sale) => sale.fares.reduce((total, fare) => total + fare.inFlight, 0)),
        parked: sum((sale) => sale.parked ?? 0),
        heartbeatAgeMs: report === null ? null : Math.max(0, ...mine.map((sale) => sale.heartbeatAgeMs)),
        counts: text === null ? null : countsOf(text),
      }
    }),
  )
  const silent = nodes.filter(({ state, counts }) => state === 'live' && counts === null)
  const alarms = [...health.problems, ...silent.map(({ id }) => `node ${id} does not answer on its admin port`)]
  return { at: health.at, nowMs: fleet.nowMs, leader: health.leader?.id ?? null, sales, nodes, alarms }
}

/** What `watch` shows, out of the Prometheus text. */
export function countsOf(text: string): NodeCounts {
  const outcomes: Record<string, number> = {}
  const answered: Record<string, number> = {}
  const single = { calls: 0, items: 0, storeErrors: 0 }
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^(farebox_\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (name === undefined) continue
    const number = Number(value)
    const label = (key: string): string | undefined => new RegExp(`${key}="([^"]*)"`).exec(labels)?.[1]
    if (name === 'farebox_buys_total') outcomes[label('outcome') ?? ''] = number
    else if (name === 'farebox_batch_items_count') single.calls = number
    else if (name === 'farebox_batch_items_sum') single.items = number
    else if (name === 'farebox_store_errors_total') single.storeErrors = number
    else if (name === 'farebox_buy_stage_seconds_bucket' && label('stage') === 'total') {
      answered[label('le') ?? ''] = number
    }
  }
  return { outcomes, answered, ...single }
}

export function metricsAsker(timeoutMs = 800): AskMetrics {
  return async (adminUrl) => {
    try {
      const response = await fetch(new URL('/metrics', adminUrl), { signal: AbortSignal.timeout(timeoutMs) })
      return response.ok ? await response.text() : null
    } catch {
      return null
    }
  }
}
