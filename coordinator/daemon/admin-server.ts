/**
 * The coordinator's private port: the admin API behind a bearer token, and health and metrics without one. Plain
 * `node:http`: operators are few, and this process must run where uWebSockets.js does not.
 */
import { timingSafeEqual, createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { assert } from '../../runtime/assert.ts'
import { failure, type AdminAnswer, type AdminRequest } from './admin-routes.ts'
import type { Log } from './log.ts'

const BODY_BYTES_MAX = 1024 * 1024

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  readonly token: string
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
  const server = createServer((request, response) => {
    void serve(options, request, response).catch((error: unknown) => {
      options.log.error({ err: error }, 'an admin call failed')
      const message = 'the call failed: see the log of the coordinator'
      reply(response, failure(500, { code: 'internal', message, details: null }))
    })
  })
  server.headersTimeout = 10_000
  server.requestTimeout = 30_000
  await listen(server, options.port, options.host)
  const address = server.address()
  assert(address !== null && typeof address === 'object', 'a server that listens on a port has an address')
  return { url: `http://${options.host}:${address.port}`, close: () => close(server) }
}

async function serve(options: AdminServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const method = request.method ?? 'GET'
  const path = (request.url ?? '/').split('?')[0] ?? '/'
  if (path === '/healthz') return text(response, 200, 'ok\n')
  if (path === '/readyz') return options.isReady() ? text(response, 200, 'ready\n') : text(response, 503, 'not ready\n')
  if (path === '/metrics') {
    const { contentType, body } = await options.metrics()
    return text(response, 200, body, contentType)
  }
  if (!isAuthorised(request.headers.authorization, options.token)) {
    const message = 'the admin token is missing or wrong: it is in admin.token of the cluster directory'
    return reply(response, failure(401, { code: 'unauthenticated', message, details: null }))
  }
  const body = await readBody(request)
  if (body === null) {
    const message = `a body has at most ${BODY_BYTES_MAX} bytes`
    return reply(response, failure(413, { code: 'too_large', message, details: null }))
  }
  return reply(response, await options.answer({ method, path, body }))
}

/** Compared as hashes: equal length, and nothing to learn from the time it takes. */
function isAuthorised(header: string | undefined, token: string): boolean {
  const given = /^Bearer (.+)$/.exec(header ?? '')?.[1]
  return given !== undefined && timingSafeEqual(hash(given), hash(token))
}

function hash(value: string): Buffer {
  return createHash('sha256').update(value).digest()
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

function reply(response: ServerResponse, answer: AdminAnswer): void {
  text(response, answer.status, `${JSON.stringify(answer.body)}\n`, 'application/json')
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
