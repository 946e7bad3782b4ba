/** `GET /api/orders/{id}` and `GET /api/orders`: a buyer's own orders. */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import { placeOf } from '../../http/order-pages.ts'
import { pageRequest } from '../../http/paging.ts'
import type { Route } from '../../http/route.ts'
import { renderList } from '../../http/schemas.ts'
import type { OrderReader, ReadOrder } from '../order-reader.ts'
import { orderJson } from './order-json.ts'
import { withBuyer } from './with-buyer.ts'

export interface OrderRoutesParts {
  readonly reader: OrderReader
  readonly identifier: Identifier
  readonly shownNowMs: () => number
}

export const ORDER_ID = /^[0-9a-hjkmnp-tv-z]{26}$/
/** For those who wait for a held order to become another. */
const POLL_AGAIN = ['Retry-After', '1']

export function orderRoutes(parts: OrderRoutesParts): Route[] {
  const common = { method: 'get', headers: ['authorization'], body: 'none' } as const
  const { identifier } = parts
  return [
    {
      ...common,
      pattern: '/api/orders/:order',
      handle: (exchange) => withBuyer(identifier, exchange, (buyer) => showOrder(parts, exchange, buyer)),
    },
    {
      ...common,
      pattern: '/api/orders',
      query: ['limit', 'cursor'],
      handle: (exchange) => withBuyer(identifier, exchange, (buyer) => listOrders(parts, exchange, buyer)),
    },
  ]
}

/** Null also for an order that is somebody else's: the two must not be told apart. */
export async function ownOrder(reader: OrderReader, id: string, buyer: string): Promise<ReadOrder | null> {
  const order = ORDER_ID.test(id) ? await reader.find(id) : null
  return order?.buyer === buyer ? order : null
}

async function showOrder(parts: OrderRoutesParts, exchange: Exchange, buyer: string): Promise<void> {
  const order = await ownOrder(parts.reader, exchange.params[0] ?? '', buyer)
  if (order === null) exchange.problem('no_such_order')
  else exchange.send(200, order.state === 'held' ? POLL_AGAIN : null, orderJson(order, parts.shownNowMs()))
}

async function listOrders(parts: OrderRoutesParts, exchange: Exchange, buyer: string): Promise<void> {
  const page = pageRequest(exchange.query)
  if (page === null || (page.cursor !== null && placeOf(page.cursor) === null)) {
    exchange.problem('malformed', 'limit is a whole number from 1 to 100; cursor is a nextCursor as it was given')
    return
  }
  const found = await parts.reader.ofBuyer(buyer, page.cursor, page.limit)
  if (found === null) {
    exchange.problem('busy', 'orders that old cannot be listed right now')
    return
  }
  const { items, nextCursor } = found
  const nowMs = parts.shownNowMs()
  const texts = items.map((order) => orderJson(order, nowMs))
  exchange.send(200, null, renderList(texts, nextCursor))
}
