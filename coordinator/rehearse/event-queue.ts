/** What happens when: the earliest first, and of several at one time the one that was added first. */
export class EventQueue<E> {
  readonly #heap: { readonly atMs: number; readonly order: number; readonly what: E }[] = []
  #added = 0

  add(atMs: number, what: E): void {
    const heap = this.#heap
    const event = { atMs, order: this.#added, what }
    this.#added += 1
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(event, parent)) break
      heap[index] = parent
      index = above
    }
    heap[index] = event
  }

  take(): { readonly atMs: number; readonly what: E } | null {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined) return null
    if (heap.length === 0) return first
    let index = 0
    for (;;) {
      const left = 2 * index + 1
      const a = heap[left]
      if (a === undefined) break
      const b = heap[left + 1]
      const [below, smaller] = b !== undefined && isBefore(b, a) ? [left + 1, b] : [left, a]
      if (!isBefore(smaller, last)) break
      heap[index] = smaller
      index = below
    }
    heap[index] = last
    return first
  }
}

type Place = { readonly atMs: number; readonly order: number }

function isBefore(a: Place, b: Place): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
