/** `GET /api/orders/{id}/tickets` and `GET /api/keys`. */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import type { Route } from '../../http/route.ts'
import type { LedgerOrder } from '../ledger/ledger.ts'
import type { TicketOffice } from '../tickets/ticket-office.ts'
import { TicketPoolBusy } from '../tickets/ticket-pool.ts'
import { ORDER_ID } from './orders.ts'
import { orBusy, withBuyer } from './with-buyer.ts'

export interface TicketRoutesParts {
  readonly office: TicketOffice
  readonly identifier: Identifier
  /** An order with its row made sure of; `recovering`: ask again. */
  readonly findOrder: (orderId: string) => Promise<LedgerOrder | 'recovering' | null>
}

export function ticketRoutes(parts: TicketRoutesParts): Route[] {
  const { office, identifier } = parts
  return [
    {
      method: 'get',
      pattern: '/api/orders/:order/tickets',
      headers: ['authorization'],
      body: 'none',
      handle: (exchange) => withBuyer(identifier, exchange, (buyer) => showTickets(parts, exchange, buyer)),
    },
    {
      method: 'get',
      pattern: '/api/keys',
      headers: [],
      body: 'none',
      handle: (exchange) =>
        orBusy(exchange, async () => {
          exchange.send(200, null, JSON.stringify(await office.keys.published()))
        }),
    },
  ]
}

async function showTickets(parts: TicketRoutesParts, exchange: Exchange, buyer: string): Promise<void> {
  const orderId = exchange.params[0] ?? ''
  const order = ORDER_ID.test(orderId) ? await parts.findOrder(orderId) : null
  if (order === 'recovering') exchange.problem('recovering')
  else if (order?.buyer !== buyer) exchange.problem('no_such_order')
  else if (order.state !== 'paid') exchange.problem('not_paid')
  else await sendTickets(parts.office, exchange, order)
}

async function sendTickets(office: TicketOffice, exchange: Exchange, order: LedgerOrder): Promise<void> {
  try {
    exchange.send(200, null, JSON.stringify({ items: await office.issue(order) }))
  } catch (error) {
    if (!(error instanceof TicketPoolBusy)) throw error
    exchange.problem('busy', 'many tickets are being drawn')
  }
}
