/**
 * One WebSocket, as a route's handlers see it, and a WebSocket route as data.
 *
 * It may be kept for ever: when the client has gone, everything here does nothing and says so. uWebSockets' own object
 * throws then.
 */
import type { WebSocket } from './uws.ts'

/** What uWebSockets keeps with a socket. */
export interface SocketData {
  readonly socket: Socket
  /** Not for the route: it is full. */
  readonly isRefused: boolean
}

export interface SocketRoute {
  /** As uWebSockets knows it: `/api/live`. */
  readonly pattern: string
  /** Names of the query parameters, which a socket has by position. */
  readonly query: readonly string[]
  /** Lower-case names of the request headers, which a socket has by position. */
  readonly headers: readonly string[]
  /** A longer message closes the connection. */
  readonly maxPayloadBytes: number
  /** Most sockets at a time; one more is closed with {@link TOO_MANY}. */
  readonly maxSockets: number
  /** May send and close. */
  opened(socket: Socket): void
  /** A whole message; null for one that is not text. */
  message(socket: Socket, text: string | null): void
  /** What could not be sent at once has gone out: there is room again. */
  drained(socket: Socket): void
  /** Called once, also for what we closed ourselves and for one too many; 1006 when the connection just ended. */
  closed(socket: Socket, code: number): void
}

/** Close codes of RFC 6455 and its registry. */
export const INTERNAL_ERROR = 1011
export const TOO_MANY = 1013

export class Socket {
  /** By position in the route's `query`, decoded. */
  readonly query: readonly (string | undefined)[]
  /** By position in the route's `headers`; empty text where absent. */
  readonly headers: readonly string[]
  #native: WebSocket<SocketData> | null = null

  constructor(query: readonly (string | undefined)[], headers: readonly string[]) {
    this.query = query
    this.headers = headers
  }

  get isOpen(): boolean {
    return this.#native !== null
  }

  /** Whether something sent before still waits in this process: whatever is sent now would be dropped. */
  get isBlocked(): boolean {
    return this.#native !== null && this.#native.getBufferedAmount() > 0
  }

  /** False when there is nobody to send to, or no room: nothing is kept then. */
  send(text: string): boolean {
    if (this.#native === null || this.isBlocked) return false
    this.#native.send(text)
    return true
  }

  /** From now on hears what the server publishes under this topic, as long as there is room. */
  subscribe(topic: string): void {
    this.#native?.subscribe(topic)
  }

  unsubscribe(topic: string): void {
    this.#native?.unsubscribe(topic)
  }

  close(code: number, reason: string): void {
    this.#native?.end(code, reason)
  }

  /** For the server. */
  attach(native: WebSocket<SocketData>): void {
    this.#native = native
  }

  /** For the server: the native object must not be touched any more. */
  detach(): void {
    this.#native = null
  }
}
