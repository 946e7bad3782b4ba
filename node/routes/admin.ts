/** The node's private port: health, metrics, and what the coordinator asks for. Never through nginx. */
import { isBearer } from '../../http/admin-token.ts'
import type { JournalText, ToldText } from '../../http/node-journal.ts'
import { rowOfOrder } from '../../http/order-rows.ts'
import type { Route } from '../../http/route.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { fareNumbers } from '../node-metrics.ts'
import type { SaleDesk } from '../sale-desk.ts'
import type { SellingNode } from '../selling-node.ts'

export interface NodeAdminParts {
  readonly nodeId: string
  readonly node: SellingNode
  readonly metrics: Metrics
  /** The operator's: what names buyers is not for everybody who reaches the port. */
  readonly token: string
  readonly isStopping: () => boolean
  /** Before a sale is opened by hand. */
  readonly practise: () => Promise<void>
}

export function adminRoutes({ nodeId, node, metrics, token, isStopping, practise }: NodeAdminParts): Route[] {
  const common = { method: 'get', headers: [], body: 'none' } as const
  /** What names buyers. */
  const ofSale = (pattern: string, textOf: (desk: SaleDesk, last: string) => string): Route => ({
    ...common,
    pattern,
    headers: ['authorization'],
    handle(exchange) {
      const desk = node.desks.get(exchange.params[0] ?? '')
      if (!isBearer(exchange.headers[0], token)) exchange.problem('unauthenticated')
      else if (desk === undefined) exchange.problem('no_such_sale')
      else exchange.send(200, null, textOf(desk, exchange.params[1] ?? ''))
    },
  })
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
    ofSale('/journal/:sale', journalText),
    ofSale('/journal/:sale/before/:era', toldText),
    {
      ...common,
      method: 'post',
      pattern: '/rehearsal',
      headers: ['authorization'],
      async handle(exchange) {
        if (isBearer(exchange.headers[0], token)) {
          await practise()
          exchange.send(200, null, '{"ok":true}')
        } else exchange.problem('unauthenticated')
      },
    },
  ]
}

/** What this node has told of a sale, for recovery. */
export function journalText({ journal: { since, orders } }: SaleDesk): string {
  const text: JournalText = { since, orders: orders.map(rowOfOrder) }
  return JSON.stringify(text)
}

/** What this node told of a sale in earlier lives of the store, for whoever looks for what was lost. */
export function toldText(desk: SaleDesk, era: string): string {
  const text: ToldText = { era: desk.quota.seen.era, orders: desk.journal.toldBefore(Number(era)).map(rowOfOrder) }
  return JSON.stringify(text)
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
      journalSince: desk.journal.since,
      confirmedInEra: desk.confirmedInEra,
      heartbeatAgeMs: Number.isFinite(desk.heartbeatAgeMs) ? Math.round(desk.heartbeatAgeMs) : null,
    })),
  }
}
