/** Request and answer as Farebox reads and writes them: the same headers, body and length. */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'

const HEADERS = ['authorization', 'idempotency-key', 'x-farebox-key-made', 'x-request-id']
const price = { amount: 100, currency: 'EUR' }
const title = 'All tickets of this fare are held; some may come back'
const TYPE = 'urn:farebox:problem:'

export interface Asked {
  readonly response: HttpResponse
  readonly authorization: string
  readonly key: string
  isGone: boolean
}

/** Parameters, headers and the whole body, read as JSON; then `next`. */
export function readBuy(response: HttpResponse, request: HttpRequest, next: (asked: Asked) => void): void {
  const [saleId, fareId] = [request.getParameter(0), request.getParameter(1)]
  const [authorization = '', key = ''] = HEADERS.map((name) => request.getHeader(name))
  const asked: Asked = { response, authorization, key, isGone: false }
  let start: Buffer | null = null
  response.onAborted(() => void (asked.isGone = true))
  response.onData((chunk, isLast) => {
    if (!isLast) start = Buffer.concat([start ?? Buffer.alloc(0), Buffer.from(chunk)])
    if (!isLast || asked.isGone) return
    const bytes = start === null ? Buffer.from(chunk) : Buffer.concat([start, Buffer.from(chunk)])
    const { quantity } = JSON.parse(bytes.toString()) as { quantity: number }
    if (quantity === 1 && saleId !== undefined && fareId !== undefined) next(asked)
    else answer(asked, 'bad_quantity')
  })
}

let count = 0

/** `won`, `replayed`, or what a problem says. */
export function answer({ response, isGone, key }: Asked, outcome: string): void {
  if (isGone) return
  count += 1
  const requestId = `0123456789ab-${count.toString(36)}`
  const hasOrder = outcome === 'won' || outcome === 'replayed'
  const status =
    outcome === 'won'
      ? '201 Created'
      : hasOrder
        ? '200 OK'
        : outcome === 'refused'
          ? '409 Conflict'
          : '503 Service Unavailable'
  response.cork(() => {
    response.writeStatus(status)
    response.writeHeader('Content-Type', hasOrder ? 'application/json' : 'application/problem+json')
    response.writeHeader('Cache-Control', 'no-store').writeHeader('X-Request-Id', requestId)
    response.writeHeader('Idempotency-Key', key)
    if (!hasOrder) response.writeHeader('Retry-After', '6')
    response.end(hasOrder ? orderText() : problemText(outcome === 'refused' ? 'all_held' : 'busy', status, requestId))
  })
}

/** Made anew for each answer, as for a real order. */
function orderText(): string {
  const now = new Date().toISOString()
  const wish = { id: '0123456789abcdefghjkmnpqrs', saleId: 'bench', fareId: 'a', quantity: 1 }
  const fate = { state: 'held', reason: null, createdAt: now, holdExpiresAt: now, paidAt: null }
  return JSON.stringify({ ...wish, ...fate, unitPrice: price, total: price, serverTime: now })
}

function problemText(code: string, status: string, requestId: string): string {
  const problem = { type: TYPE + code, title, status: Number.parseInt(status, 10), code, detail: title, requestId }
  return JSON.stringify({ ...problem, retryAfterMs: 5750 })
}
