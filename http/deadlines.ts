/**
 * Deadlines without a timer per request.
 *
 * All requests of one route wait equally long, so they fall due in the order in which they came: a linked list whose
 * head is looked at now and then. Adding and removing are a few assignments. A due item may be up to one look late.
 */
export interface Timed {
  dueMs: number
  previous: Timed | null
  next: Timed | null
  /** The list it is in; null when in none. */
  queue: DeadlineQueue | null
  expire(): void
}

export class DeadlineQueue {
  readonly durationMs: number
  #head: Timed | null = null
  #tail: Timed | null = null

  constructor(durationMs: number) {
    this.durationMs = durationMs
  }

  add(item: Timed, nowMs: number): void {
    item.dueMs = nowMs + this.durationMs
    item.queue = this
    item.next = null
    item.previous = this.#tail
    if (this.#tail === null) this.#head = item
    else this.#tail.next = item
    this.#tail = item
  }

  /** Does nothing for an item that is not in it. */
  remove(item: Timed): void {
    if (item.queue !== this) return
    if (item.previous === null) this.#head = item.next
    else item.previous.next = item.next
    if (item.next === null) this.#tail = item.previous
    else item.next.previous = item.previous
    item.previous = null
    item.next = null
    item.queue = null
  }

  /** Takes out and expires everything that is due. */
  expireDue(nowMs: number): void {
    while (this.#head !== null && this.#head.dueMs <= nowMs) {
      const item = this.#head
      this.remove(item)
      item.expire()
    }
  }
}
