/**
 * The safe wrapper around uWebSockets.js, for all HTTP that we serve.
 *
 * uWebSockets ends the whole process when a handler returns without an answer and without `onAborted`, and breaks when
 * a response is touched after the client has gone. Here neither can happen, whatever a handler does: `onAborted` is
 * always attached, what a handler throws is answered 500, silence is answered at the route's deadline, and an
 * {@link Exchange} knows when there is nobody to answer.
 *
 * What uWebSockets' own parser refuses never gets here: it answers 400, 431 or 505 as HTML and closes. See `uws.ts`
 * for the one bad input that it does not answer at all.
 *
 * Headers are not counted: uWebSockets itself lets through at most 98, and looking at each would cost more than the
 * rest of this wrapper. A single needed header longer than {@link MAX_HEADER_LENGTH} is answered `headers_too_large`.
 */
import uws, { type HttpRequest, type HttpResponse, type TemplatedApp } from './uws.ts'
import { DeadlineQueue } from './deadlines.ts'
import { Exchange, type ExchangeHost } from './exchange.ts'
import type { Route, Served } from './route.ts'
import type { SocketRoute } from './socket.ts'
import { serveSockets } from './sockets.ts'
import { Cors } from './cors.ts'
import { systemClock, type Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Random } from '../runtime/random.ts'
import { StockLawError } from '../runtime/assert.ts'

export interface ServerOptions {
  readonly logger: Logger
  readonly random: Random
  /** Default: the system's. */
  readonly clock?: Clock
  readonly maxBodyBytes: number
  readonly allowedOrigins?: readonly string[]
  /** For routes without one of their own. Default 5000. */
  readonly deadlineMs?: number
  /** A law about stock is broken: the owner stops the process. Default: throws where nobody catches. */
  readonly onStockLawBroken?: (error: StockLawError) => void
}

/** Counted as plain numbers; whoever owns the metrics reads them at scrape. */
export interface ServerCounters {
  requests: number
  /** Clients that went before their answer. */
  aborted: number
  /** Handlers that threw. */
  internalErrors: number
  /** Requests that no handler answered in time. */
  deadlinesMissed: number
}

export const MAX_HEADER_LENGTH = 4096
const LOOK_EVERY_MS = 50
const REQUEST_ID = /^[A-Za-z0-9_-]{8,64}$/
/** LIBUS_LISTEN_EXCLUSIVE_PORT: without it a stale twin on the same port would share our requests. */
const LISTEN_EXCLUSIVE_PORT = 1
const METHOD_NAMES = { get: 'GET', post: 'POST', put: 'PUT', patch: 'PATCH', del: 'DELETE' } as const
const NO_VALUES: readonly never[] = []

export class HttpServer implements ExchangeHost {
  readonly counters: ServerCounters = { requests: 0, aborted: 0, internalErrors: 0, deadlinesMissed: 0 }
  readonly random: Random
  readonly maxBodyBytes: number
  closing = false

  readonly #app: TemplatedApp
  readonly #options: ServerOptions
  readonly #clock: Clock
  readonly #defaultDeadlineMs: number
  readonly #cors: Cors | null
  readonly #queues = new Map<number, DeadlineQueue>()
  readonly #idPrefix: string
  #nextId = 0
  #inFlight = 0
  #timer: NodeJS.Timeout | null = null
  #listenSocket: object | null = null
  #whenIdle: (() => void) | null = null

  constructor(options: ServerOptions, routes: readonly Route[], sockets: readonly SocketRoute[] = []) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#defaultDeadlineMs = options.deadlineMs ?? 5000
    this.random = options.random
    this.maxBodyBytes = options.maxBodyBytes
    const origins = options.allowedOrigins ?? []
    this.#cors = origins.length === 0 ? null : new Cors(origins)
    this.#idPrefix = `${options.random.hex(6)}-`
    this.#app = uws.App()
    // Before the routes: a request for an upgrade comes here first, any other goes on to them.
    for (const route of sockets) this.#addSockets(route)
    for (const route of routes) this.#addRoute(route)
    this.#addFallbacks([...routes, ...sockets.map(notAnUpgrade)])
  }

  /** Requests without an answer so far. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** Resolves with the port, which for port 0 is a free one. Rejects when it is taken. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      // The types leave out the form with host, port and options, which the module takes.
      const listen = this.#app.listen.bind(this.#app) as unknown as (
        host: string,
        port: number,
        options: number,
        done: (socket: object | false) => void,
      ) => void
      listen(host, port, LISTEN_EXCLUSIVE_PORT, (socket) => {
        if (socket === false) {
          reject(new Error(`cannot listen on ${host}:${port}: the port is taken or the address is not ours`))
          return
        }
        this.#listenSocket = socket
        this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS)
        resolve(uws.us_socket_local_port(socket))
      })
    })
  }

  /** Sends a text, made once, to every socket that subscribed to the topic and has room for it. */
  publish(topic: string, text: string): void {
    this.#app.publish(topic, text)
  }

  subscribers(topic: string): number {
    return this.#app.numSubscribers(topic)
  }

  /**
   * Stops listening, lets answers under way finish (each closes its connection), then closes what is left. Resolves
   * with the number of requests that were given up after `timeoutMs`.
   */
  async close(timeoutMs: number): Promise<number> {
    if (this.closing) return 0
    this.closing = true
    if (this.#listenSocket !== null) uws.us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = null
    if (this.#inFlight > 0) await this.#untilIdle(timeoutMs)
    const givenUp = this.#inFlight
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#app.close()
    return givenUp
  }

  /** For exchanges: answered or aborted. */
  onDone(exchange: Exchange): void {
    exchange.queue?.remove(exchange)
    this.#inFlight -= 1
    if (exchange.aborted) this.counters.aborted += 1
    if (this.#inFlight === 0) this.#whenIdle?.()
  }

  /** For exchanges: everything is there, let the handler answer. */
  run(exchange: Exchange): void {
    try {
      const result = exchange.route.handle(exchange)
      if (result !== undefined) result.catch((error: unknown) => this.#onThrown(exchange, error))
    } catch (error) {
      this.#onThrown(exchange, error)
    }
  }

  #addRoute(route: Route): void {
    const paramCount = route.pattern.split('/').filter((part) => part.startsWith(':')).length
    const queue = this.#queueOf(route.deadlineMs ?? this.#defaultDeadlineMs)
    this.#app[route.method](route.pattern, (response, request) =>
      this.#serve(route, paramCount, queue, response, request),
    )
  }

  #addSockets(route: SocketRoute): void {
    const { pattern } = route
    const foreign: Served = {
      method: 'any',
      pattern,
      headers: NO_VALUES,
      body: 'none',
      handle: (exchange) => void exchange.problem('blocked', 'pages of this origin may not open a live connection'),
    }
    const queue = this.#queueOf(this.#defaultDeadlineMs)
    serveSockets(this.#app, route, {
      arrived: () => (this.counters.requests += 1),
      isAllowedOrigin: (origin) => this.#cors?.isAllowed(origin) === true,
      refuse: (response, request) => this.#serve(foreign, 0, queue, response, request),
      onThrown: (error) => {
        this.counters.internalErrors += 1
        this.#options.logger.error({ err: error, pattern }, 'a socket handler threw')
      },
    })
    this.#addRoute(notAnUpgrade(route))
  }

  #queueOf(durationMs: number): DeadlineQueue {
    let queue = this.#queues.get(durationMs)
    if (queue === undefined) this.#queues.set(durationMs, (queue = new DeadlineQueue(durationMs)))
    return queue
  }

  #serve(route: Served, paramCount: number, queue: DeadlineQueue, response: HttpResponse, request: HttpRequest): void {
    const exchange = this.#open(route, paramCount, response, request)
    queue.add(exchange, this.#clock.monotonicMs())
    response.onAborted(() => exchange.abort())
    if (hasLongHeader(exchange.headers)) exchange.problem('headers_too_large')
    else this.#begin(route, exchange, response)
    exchange.leaveCork()
  }

  #begin(route: Served, exchange: Exchange, response: HttpResponse): void {
    if (route.begin !== undefined) {
      try {
        route.begin(exchange)
      } catch (error) {
        this.#onThrown(exchange, error)
        return
      }
    }
    if (route.body === 'none') this.run(exchange)
    else response.onData((chunk, isLast) => exchange.receive(chunk, isLast))
  }

  /** Copies from the request, which is gone when uWebSockets' call returns. */
  #open(route: Served, paramCount: number, response: HttpResponse, request: HttpRequest): Exchange {
    this.counters.requests += 1
    this.#inFlight += 1
    const params: string[] = []
    for (let index = 0; index < paramCount; index += 1) params.push(request.getParameter(index))
    const headers: string[] = []
    for (const name of route.headers) headers.push(request.getHeader(name))
    const query = route.query === undefined ? NO_VALUES : route.query.map((name) => request.getQuery(name))
    const sentId = request.getHeader('x-request-id')
    const requestId = sentId !== '' && REQUEST_ID.test(sentId) ? sentId : this.#newRequestId()
    const added = this.#cors === null ? '' : this.#cors.headersFor(request.getHeader('origin'))
    // Only the fallbacks see other methods than their own.
    const isHead = route.method === 'any' && request.getMethod() === 'head'
    return new Exchange(this, route, response, requestId, params, headers, query, added, isHead)
  }

  #newRequestId(): string {
    this.#nextId += 1
    return this.#idPrefix + this.#nextId.toString(36)
  }

  #onThrown(exchange: Exchange, error: unknown): void {
    this.counters.internalErrors += 1
    const { requestId, route } = exchange
    this.#options.logger.error(
      { err: error, requestId, method: route.method, pattern: route.pattern },
      'a handler threw',
    )
    exchange.problem('internal')
    if (error instanceof StockLawError) this.#onStockLawBroken(error)
  }

  #onStockLawBroken(error: StockLawError): void {
    if (this.#options.onStockLawBroken !== undefined) this.#options.onStockLawBroken(error)
    else
      process.nextTick(() => {
        throw error
      })
  }

  #addFallbacks(routes: readonly Route[]): void {
    const cors = this.#cors
    if (cors !== null) {
      const preflight: Served = {
        method: 'any',
        pattern: '/*',
        headers: ['origin'],
        body: 'none',
        handle: (exchange) => void exchange.sendEmpty(204, cors.preflightHeaders(exchange.headers[0] ?? '')),
      }
      const queue = this.#queueOf(this.#defaultDeadlineMs)
      this.#app.options('/*', (response, request) => this.#serve(preflight, 0, queue, response, request))
    }
    for (const pattern of new Set(routes.map((route) => route.pattern))) {
      const methods = routes.filter((route) => route.pattern === pattern).map((route) => METHOD_NAMES[route.method])
      this.#addFallback(pattern, (exchange) => {
        exchange.addHeader('Allow', methods.join(', '))
        exchange.problem('method_not_allowed')
      })
    }
    this.#addFallback('/*', (exchange) => void exchange.problem('not_found'))
  }

  /** Stands behind the routes proper: uWebSockets asks `any` last. */
  #addFallback(pattern: string, handle: (exchange: Exchange) => void): void {
    const route: Served = { method: 'any', pattern, headers: NO_VALUES, body: 'none', handle }
    const queue = this.#queueOf(this.#defaultDeadlineMs)
    this.#app.any(pattern, (response, request) => this.#serve(route, 0, queue, response, request))
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs()
    const inFlightBefore = this.#inFlight
    for (const queue of this.#queues.values()) queue.expireDue(nowMs)
    this.counters.deadlinesMissed += inFlightBefore - this.#inFlight
  }

  async #untilIdle(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve
      timer = setTimeout(resolve, timeoutMs)
    })
    clearTimeout(timer)
    this.#whenIdle = null
  }
}

/** Whoever asks for a socket's address with a plain GET. */
function notAnUpgrade({ pattern }: SocketRoute): Route {
  const detail = 'this address is a WebSocket: send Upgrade: websocket'
  return {
    method: 'get',
    pattern,
    headers: NO_VALUES,
    body: 'none',
    handle: (exchange) => void exchange.problem('malformed', detail),
  }
}

function hasLongHeader(headers: readonly string[]): boolean {
  for (let index = 0; index < headers.length; index += 1) {
    if ((headers[index] as string).length > MAX_HEADER_LENGTH) return true
  }
  return false
}
