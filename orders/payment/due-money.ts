/**
 * Money that somebody has to do something about: refunds that the provider is to be asked for, and late money whose new
 * order is to be tried. Who claims one is alone with it until its next try is due.
 */
import type { Query } from '../ledger/database.ts'
import type { RefundRequest } from './provider.ts'

export interface DueRefund extends RefundRequest {
  readonly provider: string
  readonly orderId: string
  /** This one included. */
  readonly tries: number
}

export interface DueRetake {
  readonly provider: string
  readonly chargeId: string
  readonly orderId: string
  readonly saleId: string
  readonly fareId: string
  readonly buyer: string
  readonly quantity: number
  readonly tries: number
}

const RETRY_FIRST_MS = 1000
const RETRY_MAX_MS = 600_000

/** 1, 2, 4, … seconds after tries of 0, 1, 2, …, at most ten minutes. */
function backoff(tries: string): string {
  return `least(${RETRY_MAX_MS}, ${RETRY_FIRST_MS} * (1 << least(${tries}, 20)))`
}

/** Claims refunds whose turn it is: nobody else is given them until their next try is due. */
export function claimRefunds(query: Query, nowMs: number, limit: number): Promise<readonly DueRefund[]> {
  return query.query<DueRefund>(
    `update refunds r set tries = r.tries + 1, next_try_ms = $1::bigint + ${backoff('r.tries')}
     from payments p
     where p.order_id = r.order_id and r.id in (
       select id from refunds where state <> 'done' and next_try_ms <= $1
       order by next_try_ms limit $2 for update skip locked
     )
     returning r.id as "refundId", r.provider, r.charge_id as "chargeId", r.order_id as "orderId", p.reference,
       r.amount, r.currency, r.tries`,
    [nowMs, limit],
  )
}

/** Claims late money whose new order is to be tried. */
export function claimRetakes(query: Query, nowMs: number, limit: number): Promise<readonly DueRetake[]> {
  return query.query<DueRetake>(
    `update charges c set tries = c.tries + 1, next_try_ms = $1::bigint + ${backoff('c.tries')}
     from orders o
     where o.id = c.order_id and (c.provider, c.id) in (
       select provider, id from charges where state = 'retaking' and next_try_ms <= $1
       order by next_try_ms limit $2 for update skip locked
     )
     returning c.provider, c.id as "chargeId", c.order_id as "orderId", o.sale_id as "saleId", o.fare_id as "fareId",
       o.buyer, o.quantity, c.tries`,
    [nowMs, limit],
  )
}
