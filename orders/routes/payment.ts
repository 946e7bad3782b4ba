/**
 * `POST /api/orders/{id}/payment`: where the buyer pays; and `POST /api/payments/webhook/{provider}`: what the
 * providers tell.
 *
 * A webhook is answered 200 only after the commit, or when it was committed before; 4xx says that repeating it will not
 * help; 503 asks for a repeat.
 */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import type { Route } from '../../http/route.ts'
import type { Cashier } from '../payment/cashier.ts'
import type { PaymentProvider } from '../payment/provider.ts'
import { ORDER_ID } from './orders.ts'
import { baseUrl, HOST_HEADERS } from './base-url.ts'
import { orBusy, withBuyer } from './with-buyer.ts'

export interface PaymentRoutesParts {
  readonly cashier: Cashier
  readonly identifier: Identifier
  readonly providers: readonly PaymentProvider[]
  /** `http.publicUrl`. */
  readonly publicUrl: string | null
}

/** A provider's webhook may be longer than anything of a buyer's. As much as nginx lets through. */
const WEBHOOK_BODY_BYTES = 65_536

export function paymentRoutes(parts: PaymentRoutesParts): Route[] {
  const { identifier, providers } = parts
  const webhookHeaders = [...new Set(providers.flatMap((provider) => provider.webhookHeaders))]
  return [
    {
      method: 'post',
      pattern: '/api/orders/:order/payment',
      headers: ['authorization', ...HOST_HEADERS],
      body: 'bounded',
      handle: (exchange) => withBuyer(identifier, exchange, (buyer) => startPayment(parts, exchange, buyer)),
    },
    {
      method: 'post',
      pattern: '/api/payments/webhook/:provider',
      headers: webhookHeaders,
      body: 'bounded',
      maxBodyBytes: WEBHOOK_BODY_BYTES,
      handle: (exchange) => hearWebhook(parts.cashier, exchange, webhookHeaders),
    },
  ]
}

async function startPayment(parts: PaymentRoutesParts, exchange: Exchange, buyer: string): Promise<void> {
  const [orderId = ''] = exchange.params
  const [, ...host] = exchange.headers
  if (!ORDER_ID.test(orderId)) {
    exchange.problem('no_such_order')
    return
  }
  const started = await parts.cashier.startPayment(orderId, buyer)
  if (started.outcome !== 'started') {
    exchange.problem(started.outcome)
    return
  }
  // A provider on our own host names a path; another's URL stays as it is.
  const redirectUrl = new URL(started.redirectUrl, baseUrl(parts.publicUrl, host)).href
  exchange.send(200, null, JSON.stringify({ redirectUrl }))
}

async function hearWebhook(cashier: Cashier, exchange: Exchange, names: readonly string[]): Promise<void> {
  const name = exchange.params[0] ?? ''
  const provider = cashier.provider(name)
  const headers = provider?.webhookHeaders.map((header) => exchange.headers[names.indexOf(header)] ?? '') ?? []
  // The body's memory is ours until the first await: the cashier reads it before that.
  const heard = cashier.hear(name, exchange.body ?? Buffer.alloc(0), headers)
  await orBusy(exchange, async () => {
    const result = await heard
    switch (result.outcome) {
      case 'applied':
      case 'replayed':
      case 'ignored':
        exchange.send(200, null, JSON.stringify({ outcome: result.outcome }))
        break
      case 'no_such_provider':
        exchange.problem('not_found', 'there is no such payment provider')
        break
      case 'refused':
        exchange.problem(result.why, result.detail)
        break
      case 'no_such_payment':
      case 'wrong_amount':
        exchange.problem(result.outcome, result.detail)
        break
    }
  })
}
