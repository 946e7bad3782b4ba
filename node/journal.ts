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
  readonly order: Order
  readonly version: Version
}

export class Journal {
  readonly #max: number
  readonly #told = new Map<string, Told>()
  #since: Version | null = null

  constructor(max = ORDERS_MAX) {
    this.#max = max
  }

  /** Null before the first join. */
  get since(): Version | null {
    return this.#since
  }

  get orders(): readonly Order[] {
    return Array.from(this.#told.values(), ({ order }) => order)
  }

  /** From here on this node answers for what it tells. */
  begin(version: Version): void {
    this.#since ??= version
  }

  /** Before the buyer hears of it; `version` is the store's when it judged. */
  note(order: Order, version: Version): void {
    this.#told.delete(order.id)
    this.#told.set(order.id, { order, version })
    if (this.#told.size > this.#max) this.#forgetOldest()
  }

  #forgetOldest(): void {
    for (const [id, { version }] of this.#told) {
      this.#told.delete(id)
      if (this.#since !== null && compareVersions(version, this.#since) > 0) this.#since = version
      return
    }
  }
}
