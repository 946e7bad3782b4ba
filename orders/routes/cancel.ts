/** `DELETE /api/orders/{id}`: cancels a held order. Answers it, also on repeat. */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import type { Route } from '../../http/route.ts'
import type { OrderReader } from '../order-reader.ts'
import type { Fates } from '../pipeline/fates.ts'
import { orderJson } from './order-json.ts'
import { ownOrder } from './orders.ts'
import { withBuyer } from './with-buyer.ts'

export interface CancelRouteParts {
  readonly reader: OrderReader
  readonly fates: Pick<Fates, 'cancel'>
  readonly identifier: Identifier
  readonly shownNowMs: () => number
}

export function cancelRoute(parts: CancelRouteParts): Route {
  return {
    method: 'del',
    pattern: '/api/orders/:order',
    headers: ['authorization'],
    body: 'none',
    handle: (exchange) => withBuyer(parts.identifier, exchange, (buyer) => cancel(parts, exchange, buyer)),
  }
}

async function cancel(parts: CancelRouteParts, exchange: Exchange, buyer: string): Promise<void> {
  const id = exchange.params[0] ?? ''
  if ((await ownOrder(parts.reader, id, buyer)) === null) {
    exchange.problem('no_such_order')
    return
  }
  const { outcome, order } = await parts.fates.cancel(id)
  if (outcome === 'recovering') exchange.problem('recovering')
  else if (order === null) exchange.problem('no_such_order')
  else if (outcome === 'decided' || outcome === 'already')
    exchange.send(200, null, orderJson(order, parts.shownNowMs()))
  else exchange.problem(order.state === 'paid' ? 'already_paid' : 'not_held')
}
