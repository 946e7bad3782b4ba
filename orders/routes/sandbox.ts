/** The sandbox's page and its buttons: `GET` and `POST /api/payments/sandbox/pay/{reference}`. */
import type { Exchange } from '../../http/exchange.ts'
import type { Route } from '../../http/route.ts'
import { readPress } from '../payment/sandbox/sandbox-behaviour.ts'
import type { PressResult, SandboxBooks } from '../payment/sandbox/sandbox-books.ts'
import { PAGE_HEADERS, PAGE_TYPE, renderPage, renderUnknownPage } from '../payment/sandbox/sandbox-page.ts'
import { sandboxPagePath } from '../payment/sandbox/sandbox-provider.ts'
import { ORDER_ID } from './orders.ts'
import { orBusy } from './with-buyer.ts'

export interface SandboxRoutesParts {
  readonly books: SandboxBooks
  /** There is something to tell: look now instead of at the next turn. */
  readonly onPressed: () => void
}

export function sandboxRoutes(parts: SandboxRoutesParts): Route[] {
  const pattern = '/api/payments/sandbox/pay/:reference'
  return [
    {
      method: 'get',
      pattern,
      headers: [],
      body: 'none',
      handle: (exchange) => orBusy(exchange, () => showPage(parts, exchange)),
    },
    {
      method: 'post',
      pattern,
      headers: ['content-type'],
      body: 'bounded',
      handle: (exchange) => press(parts, exchange),
    },
  ]
}

async function showPage({ books }: SandboxRoutesParts, exchange: Exchange): Promise<void> {
  const reference = exchange.params[0] ?? ''
  const payment = ORDER_ID.test(reference) ? await books.payment(reference) : null
  if (payment === null) exchange.send(404, PAGE_HEADERS, renderUnknownPage(), PAGE_TYPE)
  else exchange.send(200, PAGE_HEADERS, renderPage(payment), PAGE_TYPE)
}

async function press(parts: SandboxRoutesParts, exchange: Exchange): Promise<void> {
  const reference = exchange.params[0] ?? ''
  const contentType = exchange.headers[0] ?? ''
  const wish = readPress(exchange.body, contentType)
  if (wish === null) {
    exchange.problem('malformed', 'the form or JSON holds something else than the sandbox knows')
    return
  }
  await orBusy(exchange, async () => {
    const result: PressResult = ORDER_ID.test(reference)
      ? await parts.books.press(reference, wish)
      : { outcome: 'no_such_payment' }
    if (result.outcome === 'pressed') parts.onPressed()
    if (contentType.startsWith('application/json')) answerJson(exchange, result)
    else exchange.send(303, ['Location', sandboxPagePath(reference)], 'go on there', 'text/plain')
  })
}

function answerJson(exchange: Exchange, result: PressResult): void {
  if (result.outcome === 'no_such_payment') exchange.problem('no_such_payment')
  else exchange.send(200, null, JSON.stringify(result))
}
