/**
 * What time it is at the store, known only between bounds: the store read its clock after our request left and
 * before its reply came. All in milliseconds; `own` times are this node's monotonic clock.
 */
export class StoreClock {
  #storeMs = 0
  #sentMs = 0
  #receivedMs = 0

  /** Takes in a reply. Only the newest counts. */
  observe(storeMs: number, sentMs: number, receivedMs: number): void {
    if (sentMs < this.#sentMs) return
    this.#storeMs = storeMs
    this.#sentMs = sentMs
    this.#receivedMs = receivedMs
  }

  /** The store's clock shows at least this. */
  atLeast(ownMs: number): number {
    return this.#storeMs + (ownMs - this.#receivedMs)
  }

  /** The store's clock shows at most this. */
  atMost(ownMs: number): number {
    return this.#storeMs + (ownMs - this.#sentMs)
  }
}
