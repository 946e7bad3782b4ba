/** `GET /api/orders/{id}` and `GET /api/orders`, read from the store, so that an order is there right after its 201. */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import { type Listed, pageOfLists, type Place, placeOf } from '../../http/order-pages.ts'
import { pageRequest } from '../../http/paging.ts'
import type { Route } from '../../http/route.ts'
import { renderList, renderOrder } from '../../http/schemas.ts'
import type { Clock } from '../../runtime/clock.ts'
import { BUYER_ORDERS_KEPT } from '../../stock/core/sale-record.ts'
import type { Order } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import { StoreError } from '../../stock/port.ts'
import type { SaleDesk } from '../sale-desk.ts'

const ORDER_ID = /^[0-9a-hjkmnp-tv-z]{26}$/
const NO_STORE = ['Cache-Control', 'no-store']

interface Parts {
  readonly desks: ReadonlyMap<string, SaleDesk>
  readonly sales: SaleStore
  readonly identifier: Identifier
  readonly clock: Clock
}

interface FoundOrder {
  readonly desk: SaleDesk
  readonly order: Order
}

export function ordersRoutes(parts: Parts): Route[] {
  const common = { method: 'get', headers: ['authorization'], body: 'none' } as const
  return [
    { ...common, pattern: '/api/orders/:order', handle: (exchange) => withBuyer(parts, exchange, showOrder) },
    {
      ...common,
      pattern: '/api/orders',
      query: ['limit', 'cursor'],
      handle: (exchange) => withBuyer(parts, exchange, listOrders),
    },
  ]
}

/** A request without a token is nobody here, also in anonymous mode: nobody owns no orders. */
async function withBuyer(
  parts: Parts,
  exchange: Exchange,
  work: (parts: Parts, exchange: Exchange, buyer: string) => Promise<void>,
): Promise<void> {
  const identity = parts.identifier.identify(exchange.headers[0] ?? '')
  if (identity.outcome !== 'known') {
    exchange.problem('unauthenticated', identity.outcome === 'refused' ? identity.detail : null)
    return
  }
  try {
    await work(parts, exchange, identity.buyer)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    exchange.problem('busy', 'the orders cannot be read right now')
  }
}

async function showOrder(parts: Parts, exchange: Exchange, buyer: string): Promise<void> {
  const id = exchange.params[0] ?? ''
  const found = ORDER_ID.test(id) ? await findOrder(parts, id) : null
  if (found === null || found.order.buyer !== buyer) exchange.problem('no_such_order')
  else exchange.send(200, NO_STORE, render(parts.clock, found))
}

/** An id does not say its sale; there are few sales, and all are asked at once. */
async function findOrder({ desks, sales }: Parts, id: string): Promise<FoundOrder | null> {
  const found = await Promise.all(
    [...desks.values()].map(async (desk) => {
      const [order] = await sales.readOrders(desk.definition.id, [id])
      return order === null || order === undefined ? null : { desk, order }
    }),
  )
  return found.find((one) => one !== null) ?? null
}

async function listOrders({ desks, sales, clock }: Parts, exchange: Exchange, buyer: string): Promise<void> {
  const page = pageRequest(exchange.query)
  const after = typeof page?.cursor === 'string' ? placeOf(page.cursor) : null
  if (page === null || (page.cursor !== null && after === null)) {
    exchange.problem('malformed', 'limit is a whole number from 1 to 100; cursor is a nextCursor as it was given')
    return
  }
  const lists = await Promise.all(
    [...desks.values()].map(async (desk): Promise<Listed<FoundOrder & Place>> => {
      const { orders, orderIds } = await sales.readBuyer(desk.definition.id, buyer)
      const found = orders.map((order) => ({ desk, order, id: order.id, createdAtMs: order.createdAtMs }))
      return { orders: found, isWhole: orderIds.length < BUYER_ORDERS_KEPT }
    }),
  )
  const found = pageOfLists(lists, after, page.limit)
  if (found === null) {
    exchange.problem('busy', 'orders that old cannot be listed right now')
    return
  }
  const texts = found.items.map((one) => render(clock, one))
  exchange.send(200, NO_STORE, renderList(texts, found.nextCursor))
}

function render(clock: Clock, { desk, order }: FoundOrder): string {
  return renderOrder(desk.definition, order, desk.quota.clock.atLeast(clock.monotonicMs()))
}
