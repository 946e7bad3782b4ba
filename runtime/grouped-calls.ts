/**
 * Few large calls in place of many small ones: what is asked while calls are under way is joined into the next.
 *
 * A call carries items of one kind only. Calls and waiting items are bounded; beyond that {@link GroupedCalls.ask}
 * rejects with {@link TooManyWaiting}, and nothing was asked.
 */
export class TooManyWaiting extends Error {
  override readonly name = 'TooManyWaiting'
}

export interface Grouping<Kind, Item, Result> {
  /** Calls under way at a time. */
  readonly callsMax: number
  /** Items per call; one asker's own may be more. */
  readonly itemsMax: number
  readonly waitingMax: number
  /** Those of equal name share calls. */
  nameOf(kind: Kind): string
  call(kind: Kind, items: readonly Item[]): Promise<Result>
}

interface Asker<Kind, Item, Result> {
  readonly kind: Kind
  readonly items: readonly Item[]
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

export class GroupedCalls<Kind, Item, Result> {
  readonly #grouping: Grouping<Kind, Item, Result>
  #askers: Asker<Kind, Item, Result>[] = []
  #calls = 0
  #waiting = 0

  constructor(grouping: Grouping<Kind, Item, Result>) {
    this.#grouping = grouping
  }

  /** Items that no call carries yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** The result of the call that carried these items, and perhaps others. */
  ask(kind: Kind, items: readonly Item[]): Promise<Result> {
    const { waitingMax } = this.#grouping
    if (this.#waiting + items.length > waitingMax) {
      return Promise.reject(new TooManyWaiting(`more than ${waitingMax} wait`))
    }
    return new Promise((resolve, reject) => {
      this.#askers.push({ kind, items, resolve, reject })
      this.#waiting += items.length
      this.#callOn()
    })
  }

  #callOn(): void {
    while (this.#calls < this.#grouping.callsMax && this.#askers.length > 0) void this.#call(this.#nextGroup())
  }

  /** The first in line, and as many after it as are of its kind and fit. */
  #nextGroup(): readonly Asker<Kind, Item, Result>[] {
    const { itemsMax } = this.#grouping
    const group: Asker<Kind, Item, Result>[] = []
    const others: Asker<Kind, Item, Result>[] = []
    let name: string | null = null
    let count = 0
    for (const asker of this.#askers) {
      name ??= this.#grouping.nameOf(asker.kind)
      const fits = group.length === 0 || count + asker.items.length <= itemsMax
      if (fits && this.#grouping.nameOf(asker.kind) === name) {
        group.push(asker)
        count += asker.items.length
      } else others.push(asker)
    }
    this.#askers = others
    this.#waiting -= count
    return group
  }

  async #call(group: readonly Asker<Kind, Item, Result>[]): Promise<void> {
    const [first] = group
    if (first === undefined) return
    this.#calls += 1
    try {
      const items = group.length === 1 ? first.items : group.flatMap((asker) => asker.items)
      const result = await this.#grouping.call(first.kind, items)
      for (const { resolve } of group) resolve(result)
    } catch (error) {
      for (const { reject } of group) reject(error)
    } finally {
      this.#calls -= 1
    }
    this.#callOn()
  }
}
