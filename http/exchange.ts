/**
 * One request and its one answer, as a handler sees them.
 *
 * It may be kept across `await`: everything needed from uWebSockets' request was copied when it came. Answering twice,
 * late, or after the client has gone does nothing and says so by returning false; the response object of uWebSockets
 * is not touched then, which would throw or worse.
 */
import type { HttpResponse } from './uws.ts'
import type { DeadlineQueue, Timed } from './deadlines.ts'
import type { Served } from './route.ts'
import { renderProblem, type ProblemCode, type ProblemExtras } from './problems.ts'
import { statusHead } from './status-heads.ts'
import type { Random } from '../runtime/random.ts'
import { assert } from '../runtime/assert.ts'

/** What an exchange needs from its server. */
export interface ExchangeHost {
  readonly random: Random
  /** True while the server shuts down: answers then close their connection. */
  readonly closing: boolean
  readonly maxBodyBytes: number
  onDone(exchange: Exchange): void
  run(exchange: Exchange): void
}

/** Beyond this much more than allowed, a body is not read to its end but cut off. */
const DISCARD_BYTES = 262_144

export class Exchange implements Timed {
  /** By position in the pattern, as sent (not percent-decoded). */
  readonly params: readonly string[]
  /** By position in the route's `headers`; empty text where absent. */
  readonly headers: readonly string[]
  /** By position in the route's `query`, decoded. */
  readonly query: readonly (string | undefined)[]
  readonly requestId: string
  readonly route: Served
  /**
   * The whole body, null when empty. Valid only until the handler returns or first awaits: the memory belongs to the
   * socket. Parse it at once.
   */
  body: Buffer | null = null
  /** The client has gone. */
  aborted = false
  /** An answer was sent. */
  answered = false
  /** What a route's `begin` leaves for its `handle`. */
  note: string | null = null
  /** Called once when the client goes before its answer. */
  onAbort: (() => void) | null = null

  dueMs = 0
  previous: Timed | null = null
  next: Timed | null = null
  queue: DeadlineQueue | null = null

  readonly #host: ExchangeHost
  readonly #response: HttpResponse
  /** An answer to HEAD has no body, or the next answer on the connection would begin inside it. */
  readonly #isHead: boolean
  #addedHeaders: string
  /** True while uWebSockets is calling us and has corked the socket itself. */
  #corked = true
  #bodyBytes = 0
  #bodyDone: boolean
  #chunks: Buffer[] | null = null

  constructor(
    host: ExchangeHost,
    route: Served,
    response: HttpResponse,
    requestId: string,
    params: readonly string[],
    headers: readonly string[],
    query: readonly (string | undefined)[],
    addedHeaders: string,
    isHead: boolean,
  ) {
    this.#host = host
    this.route = route
    this.#response = response
    this.requestId = requestId
    this.params = params
    this.headers = headers
    this.query = query
    this.#addedHeaders = addedHeaders
    this.#isHead = isHead
    this.#bodyDone = route.body === 'none'
  }

  /** Adds a header to whatever answer will be sent, problems included. */
  addHeader(name: string, value: string): void {
    this.#addedHeaders += headerLine(name, value)
  }

  /** Answers. `headers` are name, value, name, value, … False when there is nobody to answer any more. */
  send(status: number, headers: readonly string[] | null, body: string, contentType = 'application/json'): boolean {
    return this.#answer(status, headers, body, contentType, false)
  }

  /** Answers with a status that has no body: 204, 304. */
  sendEmpty(status: number, headers: readonly string[] | null): boolean {
    return this.#answer(status, headers, null, 'application/json', false)
  }

  /** Answers with a problem; see `problems.ts`. */
  problem(code: ProblemCode, detail?: string | null, extras?: ProblemExtras, close = false): boolean {
    if (this.answered || this.aborted) return false
    const { status, body, retryAfterSeconds } = renderProblem(code, this.requestId, this.#host.random, detail, extras)
    if (retryAfterSeconds !== null) this.#addedHeaders += `\r\nRetry-After: ${retryAfterSeconds}`
    if (code === 'unauthenticated') this.#addedHeaders += '\r\nWWW-Authenticate: Bearer'
    return this.#answer(status, null, body, 'application/problem+json', close)
  }

  /** For the server: the socket is no longer corked by uWebSockets. */
  leaveCork(): void {
    this.#corked = false
  }

  /** For the server: the client has gone. */
  abort(): void {
    if (this.aborted || this.answered) return
    this.aborted = true
    this.#host.onDone(this)
    const { onAbort } = this
    this.onAbort = null
    onAbort?.()
  }

  /** For the server: nobody answered in time. */
  expire(): void {
    if (this.#bodyBytes > this.#maxBodyBytes) this.problem('too_large', null, undefined, true)
    else if (!this.#bodyDone) this.problem('malformed', 'the body did not arrive in time', undefined, true)
    else this.problem(this.route.lateCode ?? 'busy', 'no answer within the deadline')
  }

  /** For the server: a piece of the body. Its memory is ours only during this call. */
  receive(chunk: ArrayBuffer, isLast: boolean): void {
    if (this.answered || this.aborted) return
    this.#corked = true
    this.#bodyBytes += chunk.byteLength
    this.#take(chunk, isLast)
    this.#corked = false
    this.body = null
  }

  get #maxBodyBytes(): number {
    return this.route.maxBodyBytes ?? this.#host.maxBodyBytes
  }

  #take(chunk: ArrayBuffer, isLast: boolean): void {
    const over = this.#bodyBytes - this.#maxBodyBytes
    if (over > 0) {
      // Read to the end and throw away: closing on a client that still sends would lose it the answer.
      this.#chunks = null
      if (isLast || over > DISCARD_BYTES) this.problem('too_large', null, undefined, !isLast)
      return
    }
    if (!isLast) {
      if (chunk.byteLength > 0) (this.#chunks ??= []).push(Buffer.from(chunk.slice(0)))
      return
    }
    this.#bodyDone = true
    if (this.#chunks !== null) this.body = Buffer.concat([...this.#chunks, Buffer.from(chunk)])
    else if (chunk.byteLength > 0) this.body = Buffer.from(chunk)
    this.#host.run(this)
  }

  #answer(
    status: number,
    headers: readonly string[] | null,
    body: string | null,
    contentType: string,
    close: boolean,
  ): boolean {
    if (this.answered || this.aborted) return false
    let head = statusHead(status, contentType) + this.requestId + this.#addedHeaders
    if (headers !== null) {
      for (let index = 0; index + 1 < headers.length; index += 2) {
        head += headerLine(headers[index] as string, headers[index + 1] as string)
      }
    }
    this.answered = true
    this.#host.onDone(this)
    const closes = close || this.#host.closing
    if (this.#corked) this.#write(head, body, closes)
    else this.#response.cork(() => this.#write(head, body, closes))
    return true
  }

  /**
   * Writes status line and all headers in one call into native code, because each call costs about as much as all of
   * this file: uWebSockets copies what it is given between "HTTP/1.1 " and the next line as it is.
   */
  #write(head: string, body: string | null, close: boolean): void {
    const response = this.#response
    if (body !== null && !this.#isHead) {
      response.writeStatus(head)
      response.end(body, close)
      return
    }
    // endWithoutBody with a length leaves the answer unfinished (the next request on the connection kills it), with
    // `undefined` it reports 2^63 bytes: so it gets no argument, and the headers are written by hand.
    let bodiless = head
    if (body !== null) bodiless += `\r\nContent-Length: ${Buffer.byteLength(body)}`
    if (close) bodiless += '\r\nConnection: close'
    response.writeStatus(bodiless)
    response.endWithoutBody()
  }
}

function headerLine(name: string, value: string): string {
  // Our own code writes names; a value may hold what a client sent, which must not become another header.
  assert(!value.includes('\n') && !value.includes('\r'), () => `header ${name} would hold a line break`)
  return `\r\n${name}: ${value}`
}
