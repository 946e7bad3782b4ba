/**
 * Pages of a buyer's orders, newest first. Orders processes and nodes both answer them, and a buyer may meet either
 * with every page, so their order and their cursors are one and the same: a cursor is the place of the last order of
 * the page before, and no server need remember or even have that order.
 */

export interface Place {
  readonly createdAtMs: number
  readonly id: string
}

const CURSOR = /^(\d{1,15})-([0-9a-z]{1,64})$/

export function cursorOf({ createdAtMs, id }: Place): string {
  return `${createdAtMs}-${id}`
}

/** Null when it is no cursor of ours. */
export function placeOf(cursor: string): Place | null {
  const parts = CURSOR.exec(cursor)
  return parts === null ? null : { createdAtMs: Number(parts[1]), id: parts[2] ?? '' }
}

export function newestFirst(a: Place, b: Place): number {
  if (a.createdAtMs !== b.createdAtMs) return b.createdAtMs - a.createdAtMs
  return a.id === b.id ? 0 : a.id < b.id ? 1 : -1
}

/** One sale's orders of the buyer, as far as its store lists them. */
export interface Listed<T extends Place> {
  readonly orders: readonly T[]
  /** False: older ones may be there, which are not listed. */
  readonly isWhole: boolean
}

export interface OrderPage<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

/**
 * The page behind `after` from several sales. Null when the lists do not reach that far: what is older than the last
 * order of a list that is not whole is not known, and an end there would be a false one.
 */
export function pageOfLists<T extends Place>(
  lists: readonly Listed<T>[],
  after: Place | null,
  limit: number,
): OrderPage<T> | null {
  const ends = lists
    .filter(({ isWhole }) => !isWhole)
    .flatMap(({ orders }) => orders.toSorted(newestFirst).at(-1) ?? [])
  const [end = null] = ends.toSorted(newestFirst)
  const all = lists
    .flatMap(({ orders }) => orders)
    .filter((order) => after === null || newestFirst(order, after) > 0)
    .filter((order) => end === null || newestFirst(order, end) <= 0)
    .toSorted(newestFirst)
  const items = all.slice(0, limit)
  const last = items.at(-1)
  if (last === undefined) return end === null ? { items, nextCursor: null } : null
  return { items, nextCursor: all.length > items.length || end !== null ? cursorOf(last) : null }
}
