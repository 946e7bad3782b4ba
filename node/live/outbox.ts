/**
 * What one live connection is still to be told, and when: at most 4 messages a second, the newest of each kind.
 *
 * Intuition: not a queue but a board with one place for the answer to a sign-in, one for the availability, and one
 * per order. Something newer takes the place of what hangs there; whoever reads slowly misses what came between,
 * and never has more waiting than one message per place.
 *
 * Contract: two messages are at least {@link SPACING_MS} apart, so that no second holds more than four. Availability
 * and orders take turns. The caller says whether the connection has room; without, nothing is taken down.
 */
import type { Order } from '../../stock/core/words.ts'

export const SPACING_MS = 250

/** A buyer's list shows no more either. */
const ORDERS_MAX = 100

export type Message =
  | { readonly kind: 'auth'; readonly buyer: string }
  /** As it is when it is sent. */
  | { readonly kind: 'availability' }
  | { readonly kind: 'order'; readonly order: Order }

export const MESSAGE_KINDS = ['availability', 'auth', 'order'] as const

export class Outbox {
  /** Messages that a newer one replaced before they were sent. */
  dropped = 0
  #lastSentMs = Number.NEGATIVE_INFINITY
  #buyer: string | null = null
  #wantsAvailability = false
  readonly #orders = new Map<string, Order>()
  /** Orders go next, if there are any. */
  #isOrdersTurn = false

  get isEmpty(): boolean {
    return this.#buyer === null && !this.#wantsAvailability && this.#orders.size === 0
  }

  get wantsAvailability(): boolean {
    return this.#wantsAvailability
  }

  hangAvailability(): void {
    if (this.#wantsAvailability) this.dropped += 1
    this.#wantsAvailability = true
  }

  hangAuth(buyer: string): void {
    if (this.#buyer !== null) this.dropped += 1
    this.#buyer = buyer
  }

  hangOrder(order: Order): void {
    // A change of an order that hangs there already goes to the end: the oldest news is told first.
    if (this.#orders.delete(order.id)) this.dropped += 1
    this.#orders.set(order.id, order)
    if (this.#orders.size <= ORDERS_MAX) return
    const [oldest = ''] = this.#orders.keys()
    this.#orders.delete(oldest)
    this.dropped += 1
  }

  /** Another buyer's orders are no business of whoever signs in next. */
  clearOrders(): void {
    this.#orders.clear()
  }

  /** Something was sent to this connection past this board. */
  noteSent(nowMs: number): void {
    if (nowMs > this.#lastSentMs) this.#lastSentMs = nowMs
  }

  /** What to send now; it is taken down. Null: nothing, or not yet. */
  take(nowMs: number): Message | null {
    if (nowMs - this.#lastSentMs < SPACING_MS) return null
    const message = this.#next()
    if (message !== null) this.#lastSentMs = nowMs
    return message
  }

  #next(): Message | null {
    if (this.#buyer !== null) {
      const buyer = this.#buyer
      this.#buyer = null
      return { kind: 'auth', buyer }
    }
    const [first] = this.#orders.values()
    if (this.#wantsAvailability && (first === undefined || !this.#isOrdersTurn)) {
      this.#wantsAvailability = false
      this.#isOrdersTurn = true
      return { kind: 'availability' }
    }
    if (first === undefined) return null
    this.#orders.delete(first.id)
    this.#isOrdersTurn = false
    return { kind: 'order', order: first }
  }
}
