/**
 * A sale's row as the place where everybody who changes its orders meets: its lock, the positions given under it, the
 * era fence, and the cursor of its events.
 */
import type { Transaction } from './database.ts'
import type { EventBatch, TakeResult } from './ledger.ts'

/** A sale's row, locked. */
export interface LockedSale {
  readonly last_position: number
  readonly now_ms: number
}

/** Moves the cursor if it is where the batch begins, and gives positions; null when it is not. */
export async function advance(
  transaction: Transaction,
  saleId: string,
  { storeEra, after, upTo }: EventBatch,
  positions: number,
): Promise<number | null> {
  const [row] = await transaction.query<{ last_position: number }>(
    `update sales set taken_era = $5, taken_seq = $6, last_position = last_position + $7::bigint
      where id = $1 and era = $2 and taken_era = $3 and taken_seq = $4 returning last_position`,
    [saleId, storeEra, after.era, after.seq, upTo.era, upTo.seq, positions],
  )
  return row === undefined ? null : row.last_position - positions
}

export async function whyNotTaken(
  transaction: Transaction,
  saleId: string,
  { storeEra }: EventBatch,
): Promise<TakeResult> {
  const [row] = await transaction.query<{ era: number; taken_era: number; taken_seq: number }>(
    'select era, taken_era, taken_seq from sales where id = $1',
    [saleId],
  )
  if (row === undefined) return { outcome: 'no_such_sale' }
  if (row.era !== storeEra) return { outcome: 'fenced', era: row.era }
  return { outcome: 'moved', taken: { era: row.taken_era, seq: row.taken_seq } }
}

/** Null when the era is another. */
export async function givePositions(
  transaction: Transaction,
  saleId: string,
  era: number,
  positions: number,
): Promise<number | null> {
  const [row] = await transaction.query<{ last_position: number }>(
    'update sales set last_position = last_position + $3::bigint where id = $1 and era = $2 returning last_position',
    [saleId, era, positions],
  )
  return row === undefined ? null : row.last_position - positions
}

export async function eraOf(transaction: Transaction, saleId: string): Promise<number> {
  const [row] = await transaction.query<{ era: number }>('select era from sales where id = $1', [saleId])
  return row?.era ?? 0
}

/** Null when there is no such sale, or its era is not the one expected. */
export async function lockSale(transaction: Transaction, saleId: string, era?: number): Promise<LockedSale | null> {
  const [row] = await transaction.query<LockedSale & { readonly era: number }>(
    'select last_position, era, ledger_now_ms() as now_ms from sales where id = $1 for no key update',
    [saleId],
  )
  return row === undefined || (era !== undefined && row.era !== era) ? null : row
}

/** Their last positions by sale. */
export async function lockSalesOf(transaction: Transaction, orderIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await transaction.query<{ id: string; last_position: number }>(
    `select id, last_position from sales
      where id in (
        select sale_id from orders where id = any($1::text[])
        union select sale_id from dead_letters where order_id = any($1::text[])
      )
      order by id for no key update`,
    [orderIds],
  )
  return new Map(rows.map(({ id, last_position: position }) => [id, position]))
}
