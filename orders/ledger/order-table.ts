/** Rows of the orders' table: read, insert and change, each a whole list in one statement. */
import { assert } from '../../runtime/assert.ts'
import type { OrderState, ReleaseReason } from '../../stock/core/words.ts'
import type { Query, SqlValue } from './database.ts'
import type { LedgerOrder } from './ledger.ts'

interface OrderRow {
  readonly id: string
  readonly sale_id: string
  readonly fare_id: string
  readonly buyer: string
  readonly quantity: number
  readonly state: OrderState
  readonly reason: ReleaseReason | null
  readonly created_ms: number
  readonly hold_expires_ms: number
  readonly paid_ms: number | null
  readonly released_ms: number | null
  readonly price_amount: number
  readonly price_currency: string
  readonly is_settled: boolean
  readonly position: number
}

export interface PlacedOrder {
  readonly position: number
  readonly order: LedgerOrder
}

const SELECT = `select o.id, o.sale_id, o.fare_id, o.buyer, o.quantity, o.state, o.reason, o.created_ms,
    o.hold_expires_ms, o.paid_ms, o.released_ms, f.price_amount, f.price_currency, o.is_settled, o.position
  from orders o join fares f on f.sale_id = o.sale_id and f.id = o.fare_id`

/** `rest` is what follows in the statement, from `where` on; orders are `o`. */
export async function selectOrders(query: Query, rest: string, values: readonly SqlValue[]): Promise<PlacedOrder[]> {
  const rows = await query.query<OrderRow>(`${SELECT} ${rest}`, values)
  return rows.map((row) => ({ position: row.position, order: orderOf(row) }))
}

/** An id with a zero byte, which SQL's text cannot have, is none. */
export async function selectById(query: Query, ids: readonly string[]): Promise<PlacedOrder[]> {
  return selectOrders(query, 'where o.id = any($1::text[])', [ids.filter((id) => !id.includes('\0'))])
}

function orderOf(row: OrderRow): LedgerOrder {
  return {
    id: row.id,
    saleId: row.sale_id,
    fareId: row.fare_id,
    buyer: row.buyer,
    quantity: row.quantity,
    state: row.state,
    reason: row.reason,
    createdAtMs: row.created_ms,
    holdExpiresAtMs: row.hold_expires_ms,
    paidAtMs: row.paid_ms,
    releasedAtMs: row.released_ms,
    unitPrice: { amount: row.price_amount, currency: row.price_currency },
    isSettled: row.is_settled,
  }
}

/**
 * Inserts what is neither there nor put aside; returns the ids that came in. The fares' counters move with it, by
 * trigger, and refuse what exceeds the stock.
 */
export async function insertOrders(
  query: Query,
  saleId: string,
  placed: readonly PlacedOrder[],
): Promise<ReadonlySet<string>> {
  if (placed.length === 0) return new Set()
  const orders = placed.map(({ order }) => order)
  const rows = await query.query<{ id: string }>(
    `insert into orders (id, sale_id, fare_id, buyer, quantity, state, reason, created_ms, hold_expires_ms, paid_ms,
        released_ms, is_settled, position)
      select n.id, $1, n.fare_id, n.buyer, n.quantity, n.state, n.reason, n.created_ms, n.hold_expires_ms, n.paid_ms,
        n.released_ms, n.is_settled, n.position
      from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::bigint[],
          $9::bigint[], $10::bigint[], $11::bigint[], $12::boolean[], $13::bigint[])
        as n (id, fare_id, buyer, quantity, state, reason, created_ms, hold_expires_ms, paid_ms, released_ms,
          is_settled, position)
      where not exists (select from dead_letters d where d.order_id = n.id)
      on conflict (id) do nothing
      returning id`,
    [
      saleId,
      orders.map(({ id }) => id),
      orders.map(({ fareId }) => fareId),
      orders.map(({ buyer }) => buyer),
      orders.map(({ quantity }) => quantity),
      orders.map(({ state }) => state),
      orders.map(({ reason }) => reason),
      orders.map(({ createdAtMs }) => createdAtMs),
      orders.map(({ holdExpiresAtMs }) => holdExpiresAtMs),
      orders.map(({ paidAtMs }) => paidAtMs),
      orders.map(({ releasedAtMs }) => releasedAtMs),
      orders.map(({ isSettled }) => isSettled),
      placed.map(({ position }) => position),
    ],
  )
  return new Set(rows.map(({ id }) => id))
}

export interface OrderChange extends PlacedOrder {
  readonly before: OrderState
}

/** Changes fates, each only if the order is still in the state expected; the caller holds the sale's lock. */
export async function updateOrders(query: Query, changes: readonly OrderChange[]): Promise<void> {
  if (changes.length === 0) return
  const rows = await query.query<{ id: string }>(
    `update orders o
      set state = n.state, reason = n.reason, paid_ms = n.paid_ms, released_ms = n.released_ms,
        is_settled = n.is_settled, position = n.position
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::boolean[],
          $8::bigint[])
        as n (id, before, state, reason, paid_ms, released_ms, is_settled, position)
      where o.id = n.id and o.state = n.before
      returning o.id`,
    [
      changes.map(({ order }) => order.id),
      changes.map(({ before }) => before),
      changes.map(({ order }) => order.state),
      changes.map(({ order }) => order.reason),
      changes.map(({ order }) => order.paidAtMs),
      changes.map(({ order }) => order.releasedAtMs),
      changes.map(({ order }) => order.isSettled),
      changes.map(({ position }) => position),
    ],
  )
  assert(rows.length === changes.length, `${changes.length - rows.length} orders changed under the sale's lock`)
}

export function ordersOf(placed: readonly PlacedOrder[]): LedgerOrder[] {
  return placed.map(({ order }) => order)
}
