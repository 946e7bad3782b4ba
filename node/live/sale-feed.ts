/**
 * Everybody who watches one sale at this node.
 *
 * Intuition: a hall with a loudspeaker. What concerns all is said once, for all. Whoever has something of their own to
 * hear (who just came in, signed in, or bought) steps aside, is told one thing at a time, the availability among it,
 * and goes back into the hall when there is nothing left.
 *
 * Contract: the loudspeaker speaks in slots, which are at least {@link SPACING_MS} apart, and only when something has
 * changed; whoever steps aside keeps the same distance from what they heard last. So no connection gets more than four
 * messages a second. The loudspeaker is uWebSockets' publish: one text for all sockets.
 *
 * Those who watch must not slow down those who buy, so before a large hall it speaks less often ({@link hallSpacingMs}).
 * Until it speaks again everybody is told what was last said, so that whoever goes back into the hall has heard the same
 * as those who are in it: else they would miss a change back to that.
 */
import { isoTime } from '../../http/iso-time.ts'
import { availabilityParts, renderAuth, renderOrderMessage } from '../../http/live-messages.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Order } from '../../stock/core/words.ts'
import type { SaleStore } from '../../stock/port.ts'
import { stateNow } from '../routes/sales.ts'
import type { OrderListener, SaleDesk } from '../sale-desk.ts'
import type { Client } from './client.ts'
import { type ChangedOrders, FollowedOrders } from './followed-orders.ts'
import type { LiveMetrics } from './live-metrics.ts'
import { type Message, SPACING_MS } from './outbox.ts'

/** Publishes to all subscribed sockets of the process. */
export interface Loudspeaker {
  publish(topic: string, text: string): void
  subscribers(topic: string): number
}

export interface SaleFeedParts {
  readonly sales: Pick<SaleStore, 'readOrders' | 'readOrdersOf'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: LiveMetrics
  readonly loudspeaker: () => Loudspeaker
  /** Default: {@link HALL}. */
  readonly hall?: Hall
}

/** Orders of all connections are read together, no more often than this. */
const READ_EVERY_MS = 200

export interface Hall {
  /** Messages of one sale that a node sends at most to all together, while that leaves each one in {@link spacingMsMax}. */
  readonly messagesPerSecond: number
  /** Nobody waits longer for a change than this, and a slot. */
  readonly spacingMsMax: number
}

const HALL: Hall = { messagesPerSecond: 4000, spacingMsMax: 1000 }

/** How far apart the loudspeaker speaks; 0 for an audience that slots alone are slow enough for. */
export function hallSpacingMs(audience: number, { messagesPerSecond, spacingMsMax }: Hall = HALL): number {
  const spacingMs = Math.min((audience * 1000) / messagesPerSecond, spacingMsMax)
  return spacingMs <= SPACING_MS ? 0 : spacingMs
}

export class SaleFeed implements OrderListener {
  readonly clients = new Set<Client>()
  readonly #desk: SaleDesk
  readonly #parts: SaleFeedParts
  readonly #topic: string
  readonly #aside = new Set<Client>()
  readonly #orders = new FollowedOrders<Client>()
  /** What was last said of the availability, without its time, and the same in its parts. */
  #said = ''
  #saidParts: readonly [string, string] = ['', '']
  #saidMs = Number.NEGATIVE_INFINITY
  /** As of the last slot: it must not change while those aside are told. */
  #hallSpacingMs = 0
  #isReading = false
  #readMs = Number.NEGATIVE_INFINITY

  constructor(desk: SaleDesk, parts: SaleFeedParts) {
    this.#desk = desk
    this.#parts = parts
    this.#topic = `availability:${desk.definition.id}`
  }

  get isWaiting(): boolean {
    return this.#orders.isFollowing
  }

  enter(client: Client): void {
    this.clients.add(client)
    this.#aside.add(client)
    client.outbox.hangAvailability()
    this.#tell(client)
  }

  leave(client: Client): void {
    this.clients.delete(client)
    this.#aside.delete(client)
    if (client.buyer !== null) this.#orders.unfollow(client.buyer, client)
  }

  signIn(client: Client, buyer: string): void {
    if (client.buyer !== null) this.#orders.unfollow(client.buyer, client)
    client.buyer = buyer
    client.outbox.clearOrders()
    client.outbox.hangAuth(buyer)
    this.#orders.follow(buyer, client)
    this.#takeAside(client)
    this.#tell(client)
    this.#readSoon()
  }

  /** A connection that had no room has some again: it may have missed what was said. */
  onRoom(client: Client): void {
    this.#takeAside(client)
    client.heard = ''
    client.outbox.hangAvailability()
    this.#tell(client)
  }

  onOrders(changed: ChangedOrders): void {
    this.#orders.mark(changed)
    this.#readSoon()
  }

  onGap(): void {
    this.#orders.markAll()
    this.#readSoon()
  }

  /** Called at least {@link SPACING_MS} apart. */
  slot(): void {
    // Also for an empty hall: whoever comes first must not be told what was last said to others, long ago.
    this.#hallSpacingMs = hallSpacingMs(this.clients.size, this.#parts.hall)
    if (this.clients.size === 0) return
    this.#sayWhatChanged()
    for (const client of this.#aside) {
      if (client.heard !== this.#said && !client.outbox.wantsAvailability) client.outbox.hangAvailability()
      this.#tell(client)
      if (!client.outbox.isEmpty || client.socket.isBlocked) continue
      this.#aside.delete(client)
      client.socket.subscribe(this.#topic)
    }
    this.#readSoon()
  }

  #sayWhatChanged(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (nowMs - this.#saidMs < this.#hallSpacingMs) return
    const parts = this.#availability()
    const saying = parts.join('')
    if (saying === this.#said) return
    this.#said = saying
    this.#saidParts = parts
    this.#saidMs = nowMs
    for (const client of this.#aside) if (client.heard !== saying) client.outbox.hangAvailability()
    const { metrics, loudspeaker } = this.#parts
    const audience = loudspeaker().subscribers(this.#topic)
    if (audience === 0) return
    loudspeaker().publish(this.#topic, parts.join(isoTime(this.#storeNowMs())))
    metrics.messages.availability += audience
  }

  #availability(): readonly [string, string] {
    const { definition, quota } = this.#desk
    const state = stateNow(this.#desk, this.#storeNowMs())
    return availabilityParts(definition, state, (fareId) => quota.fare(fareId)?.level ?? null)
  }

  #storeNowMs(): number {
    return this.#desk.quota.clock.atLeast(this.#parts.clock.monotonicMs())
  }

  #takeAside(client: Client): void {
    if (this.#aside.has(client)) return
    this.#aside.add(client)
    client.socket.unsubscribe(this.#topic)
    client.outbox.noteSent(this.#saidMs)
    client.heard = this.#said
  }

  #tell(client: Client): void {
    const { clock, metrics } = this.#parts
    if (client.socket.isBlocked || !client.socket.isOpen) return
    const message = client.outbox.take(clock.monotonicMs())
    metrics.dropped.value += client.outbox.dropped
    client.outbox.dropped = 0
    if (message === null) return
    client.socket.send(this.#render(client, message))
    metrics.messages[message.kind] += 1
  }

  #render(client: Client, message: Message): string {
    switch (message.kind) {
      case 'auth':
        return renderAuth(message.buyer)
      case 'availability': {
        const parts = this.#hallSpacingMs === 0 ? this.#availability() : this.#saidParts
        client.heard = parts.join('')
        return parts.join(isoTime(this.#storeNowMs()))
      }
      case 'order':
        return renderOrderMessage(this.#desk.definition, message.order, this.#storeNowMs())
    }
  }

  #readSoon(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    if (this.#isReading || !this.#orders.hasToRead || nowMs - this.#readMs < READ_EVERY_MS) return
    this.#isReading = true
    this.#readMs = nowMs
    void this.#read().finally(() => {
      this.#isReading = false
    })
  }

  async #read(): Promise<void> {
    const { sales, logger } = this.#parts
    const { id } = this.#desk.definition
    const reading = this.#orders.take()
    const tell = (client: Client, order: Order): void => {
      client.outbox.hangOrder(order)
      this.#takeAside(client)
      this.#tell(client)
    }
    try {
      const orders = await sales.readOrders(id, reading.orderIds)
      for (const order of orders) if (order !== null) this.#orders.hearOrder(order, tell)
      // After the orders: a list must not be older than what was told of its orders.
      const lists = await sales.readOrdersOf(id, reading.buyers)
      for (const [i, buyer] of reading.buyers.entries()) this.#orders.hearList(buyer, lists[i] ?? [], tell)
    } catch (error) {
      this.#orders.putBack(reading)
      logger.debug({ err: error, saleId: id }, 'orders of live connections could not be read; again shortly')
    }
  }
}
