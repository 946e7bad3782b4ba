/**
 * The safe wrapper for WebSocket routes: what `server.ts` is for requests.
 *
 * - A handler that throws closes its own socket with 1011 and is logged; the process goes on.
 * - A client that does not read costs one message at most: as long as something waits for it here, everything else is
 *   dropped, and `drained` tells the route when there is room again.
 * - A client that is silent is asked for a sign of life, and closed when none comes; so is one that vanished.
 * - A page of another origin is refused before the upgrade, since a browser would send it along without asking.
 */
import type { HttpRequest, HttpResponse, TemplatedApp } from './uws.ts'
import { INTERNAL_ERROR, Socket, type SocketData, type SocketRoute, TOO_MANY } from './socket.ts'

export interface SocketsHost {
  /** Counts the request as one that arrived. */
  arrived(): void
  /** Whether `origin` may come besides the page's own. */
  isAllowedOrigin(origin: string): boolean
  /** Answers an upgrade that is refused for its origin. */
  refuse(response: HttpResponse, request: HttpRequest): void
  onThrown(error: unknown): void
}

/** Seconds without a message until the connection is closed; uWebSockets sends pings well before. nginx waits longer. */
const IDLE_TIMEOUT_SECONDS = 60
/** uWebSockets drops a message when more than this waits already; 0 would mean no bound. */
const MAX_WAITING_BYTES = 1

export function serveSockets(app: TemplatedApp, route: SocketRoute, host: SocketsHost): void {
  let count = 0
  const guard = (socket: Socket, work: () => void): void => {
    try {
      work()
    } catch (error) {
      host.onThrown(error)
      socket.close(INTERNAL_ERROR, 'internal')
    }
  }
  app.ws<SocketData>(route.pattern, {
    maxPayloadLength: route.maxPayloadBytes,
    maxBackpressure: MAX_WAITING_BYTES,
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    sendPingsAutomatically: true,
    upgrade(response, request, context) {
      const origin = request.getHeader('origin')
      if (origin !== '' && !isSameOrigin(origin, request.getHeader('host')) && !host.isAllowedOrigin(origin)) {
        host.refuse(response, request)
        return
      }
      host.arrived()
      const socket = new Socket(
        route.query.map((name) => request.getQuery(name)),
        route.headers.map((name) => request.getHeader(name)),
      )
      const isRefused = count >= route.maxSockets
      if (!isRefused) count += 1
      // No extension and no subprotocol is offered: compression would cost memory per socket.
      response.upgrade({ socket, isRefused }, request.getHeader('sec-websocket-key'), '', '', context)
    },
    open(native) {
      const { socket, isRefused } = native.getUserData()
      socket.attach(native)
      if (isRefused) socket.close(TOO_MANY, 'too many connections')
      else guard(socket, () => route.opened(socket))
    },
    message(native, message, isBinary) {
      const { socket, isRefused } = native.getUserData()
      if (isRefused || !socket.isOpen) return
      guard(socket, () => route.message(socket, isBinary ? null : Buffer.from(message).toString('utf8')))
    },
    drain(native) {
      const { socket, isRefused } = native.getUserData()
      if (!isRefused && socket.isOpen) guard(socket, () => route.drained(socket))
    },
    close(native, code) {
      const { socket, isRefused } = native.getUserData()
      socket.detach()
      if (!isRefused) count -= 1
      guard(socket, () => route.closed(socket, code))
    },
  })
}

/** The scheme is nginx's business: what counts is the name and port that the page and the call have in common. */
function isSameOrigin(origin: string, host: string): boolean {
  const separator = origin.indexOf('://')
  return separator !== -1 && origin.slice(separator + 3).toLowerCase() === host.toLowerCase()
}
