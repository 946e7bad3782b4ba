/** Reads, page by page, what the law of money is about: paid orders, and orders that a charge was taken for. */
import type { OrderState } from '../../stock/core/words.ts'
import type { Query } from '../ledger/database.ts'
import type { MoneyCharge, OrderMoney } from './agreement.ts'
import type { ChargeState, RefundReason } from './charge.ts'

interface Row {
  readonly order_id: string
  readonly order_state: OrderState
  readonly total: number
  readonly order_currency: string
  /** Null where the order has no charge. */
  readonly charge_id: string | null
  readonly charge_state: ChargeState
  readonly is_taken: boolean
  readonly amount: number
  readonly currency: string
  readonly changed_ms: number
  readonly kept_for: string | null
  readonly refund_state: 'due' | 'accepted' | 'done' | null
  readonly refund_amount: number
  readonly refund_reason: RefundReason
}

/** One statement, so one instant. */
const PAGE = `
  with page as (
    select o.id, o.state, o.quantity * f.price_amount as total, f.price_currency as currency
    from orders o join fares f on f.sale_id = o.sale_id and f.id = o.fare_id
    where o.sale_id = $1 and o.id > $2 and (
      o.state = 'paid'
      or exists (select from charges c where c.order_id = o.id)
      or exists (select from charges c where c.kept_for = o.id)
    )
    order by o.id limit $3
  )
  select p.id as order_id, p.state as order_state, p.total, p.currency as order_currency,
    c.id as charge_id, c.state as charge_state, c.is_taken, c.amount, c.currency, c.changed_ms, c.kept_for,
    r.state as refund_state, r.amount as refund_amount, r.reason as refund_reason
  from page p
  left join lateral (
    select * from charges c1 where c1.order_id = p.id
    union select * from charges c2 where c2.kept_for = p.id
  ) c on true
  left join refunds r on r.provider = c.provider and r.charge_id = c.id
  order by p.id, c.id`

export async function readMoney(
  query: Query,
  saleId: string,
  after: string | null,
  limit: number,
): Promise<readonly OrderMoney[]> {
  const rows = await query.query<Row>(PAGE, [saleId, after ?? '', limit])
  const orders = new Map<string, OrderMoney & { readonly charges: MoneyCharge[] }>()
  for (const row of rows) {
    const total = { amount: row.total, currency: row.order_currency }
    const order = orders.get(row.order_id) ?? { orderId: row.order_id, state: row.order_state, total, charges: [] }
    orders.set(row.order_id, order)
    if (row.charge_id !== null) order.charges.push(chargeOf(row, row.charge_id))
  }
  return [...orders.values()]
}

function chargeOf(row: Row, id: string): MoneyCharge {
  const { charge_state: state, is_taken: isTaken, amount, currency, changed_ms: changedMs, kept_for: keptFor } = row
  const { refund_state, refund_amount, refund_reason } = row
  const refund = refund_state === null ? null : { state: refund_state, amount: refund_amount, reason: refund_reason }
  return { id, state, isTaken, amount, currency, changedMs, keptFor, refund }
}
