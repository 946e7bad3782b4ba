/** Orders put aside because the database refused that very row, as rows. */
import type { Order } from '../../stock/core/words.ts'
import type { Query, Transaction } from './database.ts'
import { type Intake, TRIES_MAX } from './intake.ts'
import type { DeadLetter } from './ledger.ts'

/** `former` are letters that were tried again just now. */
export async function setAside(
  transaction: Transaction,
  saleId: string,
  faults: Intake['faults'],
  former: readonly DeadLetter[] = [],
): Promise<void> {
  if (faults.length === 0) return
  const tries = faults.map(({ record }) => (former.find(({ orderId }) => orderId === record.id)?.tries ?? 0) + 1)
  await transaction.query(
    `insert into dead_letters (order_id, sale_id, record, tries, error, is_dead)
      select n.order_id, $1, n.record, n.tries, n.error, n.tries >= $6::integer
      from unnest($2::text[], $3::text[], $4::integer[], $5::text[]) as n (order_id, record, tries, error)
      on conflict (order_id) do nothing`,
    [
      saleId,
      faults.map(({ record }) => keyOf({ orderId: record.id })),
      faults.map(({ record }) => JSON.stringify(record)),
      tries,
      faults.map(({ error }) => error.replaceAll('\0', '')),
      TRIES_MAX,
    ],
  )
}

export async function selectDeadLetters(query: Query, saleId: string): Promise<DeadLetter[]> {
  const rows = await query.query<{
    record: string
    tries: number
    error: string
    is_dead: boolean
    released_ms: number | null
  }>('select record, tries, error, is_dead, released_ms from dead_letters where sale_id = $1 order by order_id', [
    saleId,
  ])
  return rows.map(({ record, tries, error, is_dead: isDead, released_ms: releasedMs }) => {
    const order = JSON.parse(record) as Order
    return { orderId: order.id, saleId, order, tries, error, isDead, isReleased: releasedMs !== null }
  })
}

/** SQL's text has no zero byte, and an id that is unreadable must not stop the others. */
export function keyOf({ orderId }: { readonly orderId: string }): string {
  return encodeURIComponent(orderId)
}

export function idOfKey(key: string): string {
  return decodeURIComponent(key)
}
