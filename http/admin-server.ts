/**
 * The private port of coordinator and orders: the admin API behind a bearer token, and health and metrics without
 * one. Plain `node:http`: operators are few, and an export must be written no faster than it is read.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { assert } from '../runtime/assert.ts'
import type { Log } from '../runtime/log.ts'
import { OperationError } from '../runtime/operation-error.ts'
import { isBearer } from './admin-token.ts'

const BODY_BYTES_MAX = 1024 * 1024

/** On what a coordinator asks of another process as the leader: its lease. */
export const LEASE_HEADER = 'farebox-lease'

/** A viewer may look at everything and change nothing. */
export type Role = 'viewer' | 'operator'

export interface AdminRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly body: string
  /** By the token. Default: operator. */
  readonly role?: Role
  /** Who the caller says it is, and its address: for the audit log. */
  readonly by?: string | null
  readonly from?: string | null
  /** Of the leader who asks; none for whoever asks in its own name. */
  readonly lease?: number | null
}

export interface JsonAnswer {
  readonly status: number
  readonly body: unknown
}

/** Pieces that are written as they come. */
export interface StreamedAnswer {
  readonly status: number
  readonly contentType: string
  readonly text: AsyncIterable<string>
}

export type AdminAnswer = JsonAnswer | StreamedAnswer

/** Errors of the admin APIs, with the status that tells them. Everything else is 409: understood, and refused. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  no_such_sale: 404,
  no_such_fare: 404,
  no_such_order: 404,
  no_such_node: 404,
  not_found: 404,
  method_not_allowed: 405,
  bad_request: 422,
  malformed: 400,
  bad_weight: 422,
  bad_sale_file: 422,
  ledger_away: 503,
  ledger_busy: 503,
  ledger_not_durable: 503,
  store_away: 503,
  no_orders: 503,
}

export function failure(error: Pick<OperationError, 'code' | 'message' | 'details'>, status?: number): JsonAnswer {
  const { code, message, details } = error
  return { status: status ?? STATUS_OF_CODE[code] ?? 409, body: { error: { code, message, details } } }
}

export interface AdminServerOptions {
  /** The process, as its log is named. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** The operator's token. */
  readonly token: string
  /** For those who may only look. */
  readonly viewerToken?: string
  /** PEM texts; without them plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | null
  readonly answer: (request: AdminRequest) => Promise<AdminAnswer>
  readonly isReady: () => boolean
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>
  readonly log: Log
}

export interface AdminServer {
  readonly url: string
  close(): Promise<void>
}

export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { tls } = options
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void serve(options, request, response).catch((error: unknown) => {
      options.log.error({ err: error }, 'an admin call failed')
      const message = `the call failed: see the log of ${options.name}`
      void reply(response, failure({ code: 'internal', message, details: null }, 500))
    })
  }
  const server = tls ? createTlsServer({ cert: tls.cert, key: tls.key }, listener) : createServer(listener)
  server.headersTimeout = 10_000
  server.requestTimeout = 30_000
  await listen(server, options.port, options.host)
  const address = server.address()
  assert(address !== null && typeof address === 'object', 'a server that listens on a port has an address')
  const scheme = tls ? 'https' : 'http'
  return { url: `${scheme}://${options.host}:${address.port}`, close: () => close(server) }
}

async function serve(options: AdminServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = request.method ?? 'GET'
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
  if (path === '/healthz') return text(response, 200, 'ok\n')
  if (path === '/readyz') return options.isReady() ? text(response, 200, 'ready\n') : text(response, 503, 'not ready\n')
  if (path === '/metrics') {
    const { contentType, body } = await options.metrics()
    return text(response, 200, body, contentType)
  }
  const role = roleOf(request.headers.authorization, options)
  if (role === null) {
    const message = 'the admin token is missing or wrong: it is in admin.token of the cluster directory'
    return reply(response, failure({ code: 'unauthenticated', message, details: null }, 401))
  }
  const body = await readBody(request)
  if (body === null) {
    const message = `a body has at most ${BODY_BYTES_MAX} bytes`
    return reply(response, failure({ code: 'too_large', message, details: null }, 413))
  }
  if (role === 'viewer' && method !== 'GET') {
    const message = 'this token may look and not change: use the operator token, admin.token'
    return reply(response, failure({ code: 'forbidden', message, details: null }, 403))
  }
  const said = request.headers['x-farebox-user']
  const by = typeof said === 'string' && /^[\x21-\x7e]{1,128}$/.test(said) ? said : null
  const from = request.socket.remoteAddress ?? null
  const lease = leaseOf(request.headers[LEASE_HEADER])
  const asked = { method, path, query: new URLSearchParams(query), body, role, by, from, lease }
  return reply(response, await toldAsAnswer(() => options.answer(asked)))
}

/** A refusal, thrown anywhere, as an answer. */
export async function toldAsAnswer<T extends AdminAnswer>(work: () => Promise<T>): Promise<T | JsonAnswer> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OperationError) return failure(error)
    throw error
  }
}

function roleOf(header: string | undefined, { token, viewerToken }: AdminServerOptions): Role | null {
  if (isBearer(header, token)) return 'operator'
  return viewerToken !== undefined && isBearer(header, viewerToken) ? 'viewer' : null
}

/** What is there and no lease is one that nobody ever held. */
function leaseOf(header: string | string[] | undefined): number | null {
  if (header === undefined) return null
  return typeof header === 'string' && /^\d{1,15}$/.test(header) ? Number(header) : 0
}

/** Null when it is too long; the rest is not read. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > BODY_BYTES_MAX) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function reply(response: ServerResponse, answer: AdminAnswer): Promise<void> {
  if ('body' in answer) text(response, answer.status, `${JSON.stringify(answer.body)}\n`, 'application/json')
  else await stream(response, answer.status, answer.contentType, answer.text)
}

/** An error on the way cuts the connection, so that half an answer is not taken for a whole one. */
async function stream(
  response: ServerResponse,
  status: number,
  contentType: string,
  pieces: AsyncIterable<string>,
): Promise<void> {
  response.writeHead(status, { 'content-type': contentType })
  try {
    for await (const piece of pieces) {
      if (response.destroyed) return
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
  } catch (error) {
    response.destroy()
    throw error
  }
  response.end()
}

function text(response: ServerResponse, status: number, body: string, contentType = 'text/plain; charset=utf-8'): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
