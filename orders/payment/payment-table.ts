/** Payments, their charges and refunds, as rows, and the lock under which a payment's money is changed. */
import type { Transaction } from '../ledger/database.ts'
import type { ChargeState } from './charge.ts'

export interface Payment {
  readonly orderId: string
  readonly provider: string
  readonly reference: string
  readonly redirectUrl: string
  readonly amount: number
  readonly currency: string
}

export interface PaymentRow {
  readonly order_id: string
  readonly provider: string
  readonly reference: string
  readonly redirect_url: string
  readonly amount: number
  readonly currency: string
}

export interface LockedPayment extends PaymentRow {
  readonly sale_id: string
}

export interface ChargeRow {
  readonly order_id: string
  readonly state: ChargeState
  readonly kept_for: string | null
  readonly is_taken: boolean
}

const LOCKED = `select p.*, o.sale_id from payments p join orders o on o.id = p.order_id`

export async function lockPayment(
  transaction: Transaction,
  provider: string,
  reference: string,
): Promise<LockedPayment | null> {
  const [row] = await transaction.query<LockedPayment>(
    `${LOCKED} where p.provider = $1 and p.reference = $2 for update of p`,
    [provider, reference],
  )
  return row ?? null
}

/** Those that are there, by reference; in one order for all who lock several. */
export async function lockPayments(
  transaction: Transaction,
  provider: string,
  references: readonly string[],
): Promise<ReadonlyMap<string, LockedPayment>> {
  const rows = await transaction.query<LockedPayment>(
    `${LOCKED} where p.provider = $1 and p.reference = any($2::text[]) order by p.order_id for update of p`,
    [provider, references],
  )
  return new Map(rows.map((row) => [row.reference, row]))
}

export async function lockPaymentOfOrder(transaction: Transaction, orderId: string): Promise<LockedPayment> {
  const [row] = await transaction.query<LockedPayment>(`${LOCKED} where p.order_id = $1 for update of p`, [orderId])
  if (row === undefined) throw new Error(`order ${orderId} has a charge and no payment`)
  return row
}

/** The charge that pays an order, under its payment's lock. */
export async function lockKeptCharge(
  transaction: Transaction,
  orderId: string,
): Promise<{ readonly chargeId: string; readonly payment: LockedPayment } | null> {
  const find = async (): Promise<{ id: string; order_id: string } | undefined> => {
    const [row] = await transaction.query<{ id: string; order_id: string }>(
      'select id, order_id from charges where kept_for = $1',
      [orderId],
    )
    return row
  }
  const found = await find()
  if (found === undefined) return null
  const payment = await lockPaymentOfOrder(transaction, found.order_id)
  // Between the look and the lock it may have been given back.
  const now = await find()
  return now === undefined ? null : { chargeId: now.id, payment }
}

export async function readCharge(
  transaction: Transaction,
  provider: string,
  chargeId: string,
): Promise<ChargeRow | null> {
  const [row] = await transaction.query<ChargeRow>(
    'select order_id, state, kept_for, is_taken from charges where provider = $1 and id = $2',
    [provider, chargeId],
  )
  return row ?? null
}

export async function closeRefund(
  transaction: Transaction,
  provider: string,
  chargeId: string,
  nowMs: number,
): Promise<void> {
  await transaction.query(
    `update refunds set state = 'done', done_ms = $3, last_error = null
     where provider = $1 and charge_id = $2 and state <> 'done'`,
    [provider, chargeId, nowMs],
  )
}

export function paymentOf(row: PaymentRow): Payment {
  const { order_id, provider, reference, redirect_url, amount, currency } = row
  return { orderId: order_id, provider, reference, redirectUrl: redirect_url, amount, currency }
}
