/** `GET /api/sales` and `GET /api/sales/{sale}`: what a node has heard, at most a heartbeat old. */
import type { Exchange } from '../../http/exchange.ts'
import { pageRequest } from '../../http/paging.ts'
import type { Route } from '../../http/route.ts'
import { renderList, renderSale } from '../../http/schemas.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { SaleDesk } from '../sale-desk.ts'

export function salesRoutes(desks: ReadonlyMap<string, SaleDesk>, knowsSales: () => boolean, clock: Clock): Route[] {
  const render = (desk: SaleDesk): string => {
    const { quota, definition, state } = desk
    const nowMs = quota.clock.atLeast(clock.monotonicMs())
    const fares = [...quota.fares()].flatMap((fare) => (fare.level === null ? [] : [fare.level]))
    return renderSale(definition, { state: stateNow(desk, nowMs), recovering: state === 'recovering', fares }, nowMs)
  }
  return [
    {
      method: 'get',
      pattern: '/api/sales/:sale',
      headers: [],
      body: 'none',
      handle(exchange) {
        const desk = desks.get(exchange.params[0] ?? '')
        const isHeard = desk === undefined ? knowsSales() : desk.quota.seen.era > 0
        if (!isHeard) exchange.problem('busy')
        else if (desk === undefined || desk.quota.state === 'draft') exchange.problem('no_such_sale')
        else exchange.send(200, NO_STORE, render(desk))
      },
    },
    {
      method: 'get',
      pattern: '/api/sales',
      headers: [],
      query: ['limit', 'cursor'],
      body: 'none',
      handle: (exchange) => listSales(exchange, desks, render),
    },
  ]
}

const NO_STORE = ['Cache-Control', 'no-store']

/** Opening and closing times act by themselves; a sale is shown open from its second on. */
export function stateNow({ quota }: SaleDesk, nowMs: number): SaleDesk['quota']['state'] {
  const { state, opensAtMs, closesAtMs } = quota
  if ((state === 'scheduled' || state === 'open') && closesAtMs !== null && nowMs >= closesAtMs) return 'closed'
  return state === 'scheduled' && opensAtMs !== null && nowMs >= opensAtMs ? 'open' : state
}

function listSales(exchange: Exchange, desks: ReadonlyMap<string, SaleDesk>, render: (desk: SaleDesk) => string): void {
  const page = pageRequest(exchange.query)
  const shown = [...desks.values()].filter((desk) => desk.quota.state !== 'draft').toSorted(newestFirst)
  const last = shown.findIndex((desk) => desk.definition.id === page?.cursor)
  if (page === null || (page.cursor !== null && last === -1)) {
    exchange.problem('malformed', 'limit is a whole number from 1 to 100; cursor is a nextCursor as it was given')
    return
  }
  const start = last + 1
  const items = shown.slice(start, start + page.limit)
  const isMore = start + page.limit < shown.length
  exchange.send(200, NO_STORE, renderList(items.map(render), isMore ? (items.at(-1)?.definition.id ?? null) : null))
}

/** By opening time, the latest first; those that open by hand come before. */
function newestFirst(a: SaleDesk, b: SaleDesk): number {
  return opensAt(b) - opensAt(a) || (a.definition.id < b.definition.id ? -1 : 1)
}

function opensAt({ definition }: SaleDesk): number {
  return definition.opensAtMs ?? Number.MAX_SAFE_INTEGER
}
