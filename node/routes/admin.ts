/** The node's private port: health, metrics, and what the coordinator asks for. Never through nginx. */
import type { Route } from '../../http/route.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { fareNumbers } from '../node-metrics.ts'
import type { SellingNode } from '../selling-node.ts'

export function adminRoutes(nodeId: string, node: SellingNode, metrics: Metrics, isStopping: () => boolean): Route[] {
  const common = { method: 'get', headers: [], body: 'none' } as const
  return [
    { ...common, pattern: '/healthz', handle: (exchange) => void exchange.send(200, null, '{"ok":true}') },
    {
      ...common,
      pattern: '/readyz',
      handle(exchange) {
        const isReady = node.isReady && !isStopping()
        exchange.send(isReady ? 200 : 503, null, JSON.stringify({ ready: isReady }))
      },
    },
    {
      ...common,
      pattern: '/metrics',
      async handle(exchange) {
        const { contentType, body } = await metrics.scrape()
        exchange.send(200, null, body, contentType)
      },
    },
    {
      ...common,
      pattern: '/state',
      handle: (exchange) => void exchange.send(200, null, JSON.stringify(stateOf(nodeId, node))),
    },
  ]
}

/** What this node knows, for recovery, `quota` and `audit`. */
export function stateOf(nodeId: string, node: SellingNode): unknown {
  return {
    nodeId,
    epoch: node.member?.epoch ?? 0,
    state: node.member?.state ?? 'live',
    sales: [...node.desks.values()].map((desk) => ({
      saleId: desk.definition.id,
      era: desk.quota.seen.era,
      seq: desk.quota.seen.seq,
      lastWriteSeq: desk.lastWriteSeq,
      epoch: desk.epoch,
      state: desk.quota.state,
      recovering: desk.state === 'recovering',
      fares: fareNumbers(desk),
      parked: desk.quota.lineLength,
      winners: desk.quota.winners.size,
      heartbeatAgeMs: Number.isFinite(desk.heartbeatAgeMs) ? Math.round(desk.heartbeatAgeMs) : null,
    })),
  }
}
