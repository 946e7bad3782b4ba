/**
 * Outcomes of one item of a batch, in order of precedence: the first that applies is the answer (the source of
 * the order is the design of the confirm script). The numbers go over the wire between script and port; the
 * scripts get them by name from this table.
 */
export const ITEM_STATUSES = [
  'no_such_fare',
  'replayed',
  'key_reused',
  'bad_quantity',
  'not_open',
  'paused',
  'closed',
  'too_late',
  'unlawful',
  'limit_reached',
  'not_enough',
  'all_held',
  'sold_out',
  'held',
] as const

export type ItemStatus = (typeof ITEM_STATUSES)[number]

/** The wire number of a status: its place in the table, from 1. */
export const STATUS_NUMBERS: Readonly<Record<ItemStatus, number>> = Object.fromEntries(
  ITEM_STATUSES.map((status, index) => [status, index + 1]),
) as Record<ItemStatus, number>

export function statusOfNumber(number: number): ItemStatus {
  const status = ITEM_STATUSES[number - 1]
  if (status === undefined) throw new RangeError(`no item status has the number ${number}`)
  return status
}
