/** Pages of lists: `?limit=` from 1 to 100, 50 when absent, and `?cursor=` as a former page's `nextCursor`. */
export interface PageRequest {
  readonly limit: number
  readonly cursor: string | null
}

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 100
const LIMIT = /^[1-9][0-9]{0,2}$/
const CURSOR = /^[A-Za-z0-9._-]{1,128}$/

/** From the query parameters limit and cursor, in this order; null when one of them is malformed. */
export function pageRequest([limit, cursor]: readonly (string | undefined)[]): PageRequest | null {
  const isLimitGood = limit === undefined || (LIMIT.test(limit) && Number(limit) <= LIMIT_MAX)
  const isCursorGood = cursor === undefined || CURSOR.test(cursor)
  if (!isLimitGood || !isCursorGood) return null
  return { limit: limit === undefined ? LIMIT_DEFAULT : Number(limit), cursor: cursor ?? null }
}
