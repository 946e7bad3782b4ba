/**
 * A bare uWebSockets.js route: reads what a buy call brings (parameters, the same headers, the whole body, JSON) and
 * answers a purchase, or with `refusal` a refusal, without deciding anything. What HTTP costs here by itself.
 *
 *   node bare.js PORT purchase|refusal
 */
import uws from '../../http/uws.ts'

const [port, kind] = process.argv.slice(2)
const isRefusal = kind === 'refusal'
const HEADERS = ['authorization', 'idempotency-key', 'x-farebox-key-made', 'x-request-id']
const price = { amount: 100, currency: 'EUR' }
const now = '2026-11-22T07:00:00.000Z'
const wish = { id: '0123456789abcdefghjkmnpqrs', saleId: 'bench', fareId: 'a', quantity: 1 }
const fate = { state: 'held', reason: null, createdAt: now, holdExpiresAt: now, paidAt: null }
const order = { ...wish, ...fate, unitPrice: price, total: price, serverTime: now }
const title = 'All tickets of this fare are held; some may come back'
const problem = { type: 'urn:farebox:problem:all_held', title, status: 409, code: 'all_held', detail: title }
const status = isRefusal ? '409 Conflict' : '201 Created'
const contentType = isRefusal ? 'application/problem+json' : 'application/json'
const problemHead = JSON.stringify(problem).slice(0, -1)
const orderBody = JSON.stringify(order)
let count = 0

uws
  .App()
  .post('/api/sales/:sale/fares/:fare/orders', (response, request) => {
    const path = [request.getParameter(0), request.getParameter(1)]
    const headers = HEADERS.map((name) => request.getHeader(name))
    let isGone = false
    let start: Buffer | null = null
    response.onAborted(() => void (isGone = true))
    response.onData((chunk, isLast) => {
      if (!isLast) start = Buffer.concat([start ?? Buffer.alloc(0), Buffer.from(chunk)])
      if (!isLast || isGone) return
      const bytes = start === null ? Buffer.from(chunk) : Buffer.concat([start, Buffer.from(chunk)])
      const { quantity } = JSON.parse(bytes.toString()) as { quantity: number }
      if (quantity !== 1 || path[0] !== 'bench' || headers[0] === '') throw new Error('not the request of the bench')
      count += 1
      const requestId = `0123456789ab-${count.toString(36)}`
      response.cork(() => {
        response.writeStatus(status).writeHeader('Content-Type', contentType).writeHeader('Cache-Control', 'no-store')
        response.writeHeader('X-Request-Id', requestId).writeHeader('Idempotency-Key', headers[1] ?? '')
        if (isRefusal) response.writeHeader('Retry-After', '6')
        response.end(isRefusal ? `${problemHead},"requestId":"${requestId}","retryAfterMs":5750}` : orderBody)
      })
    })
  })
  .listen('127.0.0.1', Number(port), (socket) => {
    process.stdout.write(socket === false ? 'port taken\n' : 'listening\n')
  })
