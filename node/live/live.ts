/**
 * `GET /api/live?sale={sale}`: availability of a sale for everybody, and a buyer's own orders after signing in.
 *
 * Connections end with a reason: 4400 a message that is none of ours, 4401 a token that does not hold (any more),
 * 4404 no such sale, 1012 come back (this node leaves, or nginx is about to cut its old connections), 1013 too many,
 * or not ready to know. Nothing is replayed: whoever comes back is told the whole state.
 *
 * nginx keeps the connections of an old configuration for a while after a reload and then cuts them without a word.
 * Each connection says by which plan it came; when one comes by a newer plan, the older ones are asked to come back,
 * spread over some seconds.
 */
import type { Identifier } from '../../http/identity.ts'
import { readAuth } from '../../http/live-messages.ts'
import { type Socket, type SocketRoute, TOO_MANY } from '../../http/socket.ts'
import type { Random } from '../../runtime/random.ts'
import { compareVersions, type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import type { SaleDesk } from '../sale-desk.ts'
import { Client } from './client.ts'
import type { LiveMetrics } from './live-metrics.ts'
import { SPACING_MS } from './outbox.ts'
import { type Loudspeaker, SaleFeed, type SaleFeedParts } from './sale-feed.ts'

export const RESTART = 1012
export const BAD_MESSAGE = 4400
export const BAD_TOKEN = 4401
export const NO_SUCH_SALE = 4404

/** Timers may come a moment early; two slots must not be too close for that. */
const SLOT_MS = SPACING_MS + 2
/** A token and what JSON adds; a bearer token in a header may be as long. */
const MAX_PAYLOAD_BYTES = 4608
const TIMING = {
  /** nginx has had this much time to look away before a draining node's connections are closed. */
  lookAwayMs: 2000,
  /** Closing is spread over this: a crowd must not come back at once. nginx cuts old connections after 30 s. */
  spreadMs: 8000,
}
/** At a process's end there is less time. */
const LAST_SPREAD_MS = 500
const PLAN = /^(\d{1,15})\.(\d{1,15})$/

export interface LiveParts extends Omit<SaleFeedParts, 'loudspeaker'> {
  readonly desks: ReadonlyMap<string, SaleDesk>
  /** False while a sale without a desk may be one that this node has not heard of yet. */
  readonly knowsSales: () => boolean
  /** True while the node is to be left by everybody. */
  readonly isDraining: () => boolean
  readonly identifier: Identifier
  readonly random: Random
  readonly maxSockets: number
  readonly metrics: LiveMetrics
  /** Default: {@link TIMING}. */
  readonly timing?: typeof TIMING
}

export class Live implements SocketRoute {
  readonly pattern = '/api/live'
  readonly query = ['sale']
  readonly headers = ['x-farebox-plan']
  readonly maxPayloadBytes = MAX_PAYLOAD_BYTES
  readonly maxSockets: number

  readonly #parts: LiveParts
  readonly #timing: typeof TIMING
  readonly #feeds = new Map<string, SaleFeed>()
  readonly #clients = new Map<Socket, { readonly client: Client; readonly feed: SaleFeed }>()
  #loudspeaker: Loudspeaker | null = null
  #timer: NodeJS.Timeout | null = null
  #newestPlan: Version = VERSION_ZERO
  #drainingSinceMs: number | null = null
  #isLeaving = false

  constructor(parts: LiveParts) {
    this.#parts = parts
    this.#timing = parts.timing ?? TIMING
    this.maxSockets = parts.maxSockets
  }

  get sockets(): number {
    return this.#clients.size
  }

  start(loudspeaker: Loudspeaker): void {
    this.#loudspeaker = loudspeaker
    this.#scheduleSlot()
  }

  /** The process ends: after a while asks everybody to come back, to another node; resolves when all were told. */
  async leaveAfter(ms: number): Promise<void> {
    if (this.#clients.size > 0) await pause(ms)
    this.#isLeaving = true
    const nowMs = this.#parts.clock.monotonicMs()
    for (const { client } of this.#clients.values()) this.#askBack(client, nowMs, LAST_SPREAD_MS)
    while (this.#clients.size > 0) {
      await pause(SPACING_MS / 5)
      this.#closeDue()
    }
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  opened(socket: Socket): void {
    const { desks, knowsSales, clock } = this.#parts
    if (this.#isLeaving) return socket.close(RESTART, 'this node is leaving')
    const desk = desks.get(socket.query[0] ?? '')
    const isHeard = desk === undefined ? knowsSales() : desk.quota.seen.era > 0
    if (!isHeard) return socket.close(TOO_MANY, 'not ready yet')
    if (desk === undefined || desk.quota.state === 'draft') return socket.close(NO_SUCH_SALE, 'no such sale')
    const plan = readPlan(socket.headers[0] ?? '')
    this.#notePlan(plan, clock.monotonicMs())
    const client = new Client(socket, plan)
    const feed = this.#feedOf(desk)
    this.#clients.set(socket, { client, feed })
    feed.enter(client)
  }

  message(socket: Socket, text: string | null): void {
    const found = this.#clients.get(socket)
    if (found === undefined) return
    const { client, feed } = found
    if (!client.mayTalk(this.#parts.clock.monotonicMs())) return socket.close(TOO_MANY, 'too many messages')
    const token = text === null ? null : readAuth(text)
    if (token === null) return socket.close(BAD_MESSAGE, 'not an auth message')
    const identity = this.#parts.identifier.identifyToken(token)
    if (identity.outcome !== 'known') {
      return socket.close(BAD_TOKEN, identity.outcome === 'refused' ? identity.detail : 'a token is needed')
    }
    client.expiresAtMs = identity.expiresAtMs
    feed.signIn(client, identity.buyer)
  }

  drained(socket: Socket): void {
    const found = this.#clients.get(socket)
    found?.feed.onRoom(found.client)
  }

  closed(socket: Socket, code: number): void {
    this.#parts.metrics.closed(code)
    const found = this.#clients.get(socket)
    if (found === undefined) return
    this.#clients.delete(socket)
    found.feed.leave(found.client)
  }

  #feedOf(desk: SaleDesk): SaleFeed {
    const { id } = desk.definition
    const known = this.#feeds.get(id)
    if (known !== undefined) return known
    const loudspeaker = (): Loudspeaker => {
      if (this.#loudspeaker === null) throw new Error('live connections before the start')
      return this.#loudspeaker
    }
    const feed = new SaleFeed(desk, { ...this.#parts, loudspeaker })
    desk.listener = feed
    this.#feeds.set(id, feed)
    return feed
  }

  /** One after the other, so that a late slot does not come close to the next. */
  #scheduleSlot(): void {
    this.#timer = setTimeout(() => {
      this.#slot()
      this.#scheduleSlot()
    }, SLOT_MS)
  }

  #slot(): void {
    const { clock, isDraining } = this.#parts
    const { lookAwayMs, spreadMs } = this.#timing
    const nowMs = clock.monotonicMs()
    if (!isDraining()) this.#drainingSinceMs = null
    else this.#drainingSinceMs ??= nowMs
    if (this.#drainingSinceMs !== null && nowMs - this.#drainingSinceMs >= lookAwayMs) {
      for (const { client } of this.#clients.values()) this.#askBack(client, nowMs, spreadMs)
    }
    this.#closeDue()
    for (const feed of this.#feeds.values()) feed.slot()
  }

  #notePlan(plan: Version, nowMs: number): void {
    if (compareVersions(plan, this.#newestPlan) <= 0) return
    this.#newestPlan = plan
    for (const { client } of this.#clients.values()) {
      // Whoever did not come through nginx is not cut by it.
      if (client.plan !== VERSION_ZERO) this.#askBack(client, nowMs, this.#timing.spreadMs)
    }
  }

  #askBack(client: Client, nowMs: number, spreadMs: number): void {
    if (client.closeAtMs <= nowMs + spreadMs) return
    client.closeAtMs = nowMs + this.#parts.random.next() * spreadMs
  }

  #closeDue(): void {
    const { clock } = this.#parts
    const nowMs = clock.monotonicMs()
    const wallMs = clock.nowMs()
    for (const { client } of this.#clients.values()) {
      if (client.closeAtMs <= nowMs) client.socket.close(RESTART, 'come back')
      else if (client.expiresAtMs <= wallMs) client.socket.close(BAD_TOKEN, 'the token has expired')
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

function readPlan(text: string): Version {
  const match = PLAN.exec(text)
  return match === null ? VERSION_ZERO : { era: Number(match[1]), seq: Number(match[2]) }
}
