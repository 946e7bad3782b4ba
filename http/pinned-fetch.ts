/**
 * `fetch` for an admin API over TLS whose certificate lies beside the cluster.
 *
 * Whoever holds the certificate's file needs no authority to vouch for it: the other side is the right one when it
 * shows that very certificate, whatever names stand in it. Any other is judged as usual, by the authorities that this
 * process trusts and the name that was called. Nothing is sent, no token above all, before that is clear.
 */
import { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { isIP } from 'node:net'
import { Readable } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'

export interface PinnedInit {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal?: AbortSignal
}

/** `certificate` is a PEM text; null leaves the judgement to `fetch`. */
export function pinnedFetch(url: string | URL, init: PinnedInit, certificate: string | null): Promise<Response> {
  const target = new URL(url)
  if (certificate === null || target.protocol !== 'https:') return fetch(target, init)
  const pin = new X509Certificate(certificate)
  const { method = 'GET', headers = {}, body, signal } = init
  const agent = new Agent({ keepAlive: false })
  Object.assign(agent, { createConnection: (_: unknown, created: Created) => judged(target, pin, signal, created) })
  return new Promise((resolve, reject) => {
    const asked = request(target, { method, headers, agent, ...(signal === undefined ? {} : { signal }) })
    asked.on('error', reject)
    asked.on('response', (reply) => resolve(responseOf(reply)))
    asked.end(body)
  })
}

type Created = (error: Error | null, socket?: TLSSocket) => void

/** Hands the connection over only when the other side is who it should be. */
function judged(
  { hostname, port }: URL,
  pin: X509Certificate,
  signal: AbortSignal | undefined,
  created: Created,
): void {
  const host = hostname.replace(/^\[|\]$/g, '')
  const servername = isIP(host) === 0 ? { servername: host } : {}
  const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false, ...servername })
  socket.once('error', created)
  // Until it is handed over nobody else ends it: the request has no socket yet and would wait for ever.
  signal?.addEventListener('abort', () => socket.destroy(new Error('aborted', { cause: signal.reason })))
  socket.once('secureConnect', () => {
    socket.off('error', created)
    const isKnown = socket.authorized || socket.getPeerX509Certificate()?.raw.equals(pin.raw) === true
    if (isKnown) return created(null, socket)
    socket.destroy()
    created(new Error(`${host} shows a certificate that nobody here knows: ${String(socket.authorizationError)}`))
  })
}

function responseOf(reply: IncomingMessage): Response {
  const headers = new Headers()
  for (const [name, value] of Object.entries(reply.headers)) if (typeof value === 'string') headers.set(name, value)
  const status = reply.statusCode ?? 500
  return new Response(Readable.toWeb(reply) as ReadableStream<Uint8Array>, { status, headers })
}
