/**
 * Which orders of a sale are followed here, for whom, and which of them are to be read.
 *
 * Events name the orders that changed, not how they are now; so an order is marked, and read with all others that
 * are marked. What is read twice is told once: a follower hears of an order only when it differs from the last told.
 *
 * How nothing is missed when a buyer begins to follow:
 *   1. the buyer is followed: from here on, orders made for it are marked
 *   2. its list is read, at some moment in the store
 *   3. an order of the list is settled; the event comes before the list, and names an order not yet known here
 * So whatever a list shows that may still change is read once more after the list.
 */
import type { Order } from '../../stock/core/words.ts'

export interface ChangedOrders {
  readonly orderIds: readonly string[]
  readonly buyers: readonly string[]
  readonly settled: readonly string[]
}

/** What is to be read from the store in one go. */
export interface Reading {
  /** Whose lists. */
  readonly buyers: readonly string[]
  readonly orderIds: readonly string[]
}

/** Most of either in one reading. */
const LISTS_MAX = 200
const ORDERS_MAX = 500

interface Followed<F> {
  readonly followers: Set<F>
  /** Those that have not seen the list yet. */
  readonly isNew: Set<F>
  /** What was last told of each order. */
  readonly told: Map<string, string>
}

export class FollowedOrders<F> {
  readonly #buyers = new Map<string, Followed<F>>()
  readonly #buyerOf = new Map<string, string>()
  readonly #listsToRead = new Set<string>()
  readonly #ordersToRead = new Set<string>()

  get isFollowing(): boolean {
    return this.#buyers.size > 0
  }

  get hasToRead(): boolean {
    return this.#listsToRead.size > 0 || this.#ordersToRead.size > 0
  }

  follow(buyer: string, follower: F): void {
    const followed = this.#buyers.get(buyer) ?? { followers: new Set(), isNew: new Set(), told: new Map() }
    this.#buyers.set(buyer, followed)
    followed.followers.add(follower)
    followed.isNew.add(follower)
    this.#listsToRead.add(buyer)
  }

  unfollow(buyer: string, follower: F): void {
    const followed = this.#buyers.get(buyer)
    if (followed === undefined) return
    followed.followers.delete(follower)
    followed.isNew.delete(follower)
    if (followed.followers.size > 0) return
    this.#buyers.delete(buyer)
    this.#listsToRead.delete(buyer)
    for (const id of followed.told.keys()) this.#buyerOf.delete(id)
  }

  mark({ orderIds, buyers, settled }: ChangedOrders): void {
    for (const [i, orderId] of orderIds.entries()) {
      const buyer = buyers[i] ?? ''
      const followed = this.#buyers.get(buyer)
      if (followed === undefined) continue
      if (!followed.told.has(orderId)) followed.told.set(orderId, '')
      this.#buyerOf.set(orderId, buyer)
      this.#ordersToRead.add(orderId)
    }
    for (const orderId of settled) if (this.#buyerOf.has(orderId)) this.#ordersToRead.add(orderId)
  }

  /** Events may have been missed. */
  markAll(): void {
    for (const buyer of this.#buyers.keys()) this.#listsToRead.add(buyer)
  }

  /** Takes what is to be read next. */
  take(): Reading {
    return { buyers: takeFrom(this.#listsToRead, LISTS_MAX), orderIds: takeFrom(this.#ordersToRead, ORDERS_MAX) }
  }

  /** The reading failed. */
  putBack({ buyers, orderIds }: Reading): void {
    for (const buyer of buyers) if (this.#buyers.has(buyer)) this.#listsToRead.add(buyer)
    for (const orderId of orderIds) if (this.#buyerOf.has(orderId)) this.#ordersToRead.add(orderId)
  }

  /** A buyer's list was read, newest first. Whoever is new is told all of it. */
  hearList(buyer: string, orders: readonly Order[], tell: (follower: F, order: Order) => void): void {
    const followed = this.#buyers.get(buyer)
    // Who is new may have come after this was read: then the next list, which is due, holds what this one lacks.
    if (followed === undefined) return
    for (const order of orders) {
      const isNews = followed.told.get(order.id) !== textOf(order)
      for (const follower of followed.followers) if (isNews || followed.isNew.has(follower)) tell(follower, order)
      followed.told.set(order.id, textOf(order))
      this.#buyerOf.set(order.id, buyer)
      if (order.state !== 'released') this.#ordersToRead.add(order.id)
    }
    followed.isNew.clear()
  }

  hearOrder(order: Order, tell: (follower: F, order: Order) => void): void {
    const followed = this.#buyers.get(order.buyer)
    if (followed === undefined || followed.told.get(order.id) === textOf(order)) return
    followed.told.set(order.id, textOf(order))
    this.#buyerOf.set(order.id, order.buyer)
    // Whoever waits for the list gets this order with it, as new or newer.
    for (const follower of followed.followers) if (!followed.isNew.has(follower)) tell(follower, order)
  }
}

/** All of an order that changes. */
function textOf({ state, reason, paidSeq, releasedSeq }: Order): string {
  return `${state} ${reason} ${paidSeq} ${releasedSeq}`
}

function takeFrom(set: Set<string>, max: number): string[] {
  const taken: string[] = []
  for (const item of set) {
    if (taken.length >= max) break
    taken.push(item)
    set.delete(item)
  }
  return taken
}
