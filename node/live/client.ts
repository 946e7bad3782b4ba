/** One live connection to a sale: its socket, what it is still to be told, and who signed in on it. */
import type { Socket } from '../../http/socket.ts'
import type { Version } from '../../stock/core/words.ts'
import { Outbox } from './outbox.ts'

/** A client has one thing to say, and may say it again when its token changes. */
const MESSAGES_AT_ONCE = 5
const MESSAGE_EVERY_MS = 1000

export class Client {
  readonly socket: Socket
  readonly outbox = new Outbox()
  /** Of the nginx configuration through which it came. */
  readonly plan: Version
  buyer: string | null = null
  /** The availability last told, without its time; empty when nobody knows whether it arrived. */
  heard = ''
  /** By the wall clock, as the token says. */
  expiresAtMs = Number.POSITIVE_INFINITY
  /** When it is to be closed as for a restart; monotonic. */
  closeAtMs = Number.POSITIVE_INFINITY
  #spentUntilMs = Number.NEGATIVE_INFINITY

  constructor(socket: Socket, plan: Version) {
    this.socket = socket
    this.plan = plan
  }

  /** Counts a message of the client; false when there were too many lately. */
  mayTalk(nowMs: number): boolean {
    this.#spentUntilMs = Math.max(this.#spentUntilMs, nowMs) + MESSAGE_EVERY_MS
    return this.#spentUntilMs - nowMs <= MESSAGES_AT_ONCE * MESSAGE_EVERY_MS
  }
}
