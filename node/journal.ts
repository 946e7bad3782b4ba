/**
 * What this node has told buyers of their orders: the newest of them, as told. When the store loses orders, and the
 * ledger had not taken them yet, this is who still knows.
 *
 * It is whole from {@link Journal.since} on: everything told of a store at a later version is in it. Before the first
 * join there is nothing that it could answer for.
 */
import { compareVersions, type Order, type Version } from '../stock/core/words.ts'

/** Far more than the ledger is ever behind; some ten megabytes. */
const ORDERS_MAX = 50_000

interface Told {
  order: Order
  readonly version: Version
}

/** A ring: a Map that gives up its first entry again and again has to look past all that went before. */
export class Journal {
  readonly #max: number
  /** Oldest first, from {@link #next} on once it is full. */
  readonly #ring: Told[] = []
  #next = 0
  readonly #byId = new Map<string, Told>()
  #since: Version | null = null

  constructor(max = ORDERS_MAX) {
    this.#max = max
  }

  /** Null before the first join. */
  get since(): Version | null {
    return this.#since
  }

  /** Oldest first. */
  get orders(): readonly Order[] {
    const told = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)]
    return told.filter((one) => this.#byId.get(one.order.id) === one).map(({ order }) => order)
  }

  /** What was told of a store before this era, and not again since: there it may be missing. */
  toldBefore(era: number): readonly Order[] {
    return [...this.#byId.values()].filter(({ version }) => version.era < era).map(({ order }) => order)
  }

  /** From here on this node answers for what it tells. */
  begin(version: Version): void {
    this.#since ??= version
  }

  /**
   * Before the buyer hears of it; `version` is the store's when it judged. What is told again keeps its place: it was
   * made no later than it was told first. Not in another era, where it may have been lost and made anew.
   */
  note(order: Order, version: Version): void {
    const known = this.#byId.get(order.id)
    if (known?.version.era === version.era) {
      known.order = order
      return
    }
    const told = { order, version }
    const oldest = this.#ring[this.#next]
    if (oldest !== undefined) this.#forget(oldest)
    this.#ring[this.#next] = told
    this.#next = (this.#next + 1) % this.#max
    this.#byId.set(order.id, told)
  }

  #forget(told: Told): void {
    const { order, version } = told
    if (this.#byId.get(order.id) === told) this.#byId.delete(order.id)
    if (this.#since !== null && compareVersions(version, this.#since) > 0) this.#since = version
  }
}
