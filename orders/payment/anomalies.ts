/** What providers told or did that cannot be right, as rows: nothing is changed by it, and an operator looks at it. */
import type { Query, Transaction } from '../ledger/database.ts'
import type { PaymentEvent } from './provider.ts'

export type AnomalyKind =
  | 'bad_signature'
  | 'stale_timestamp'
  | 'malformed'
  | 'no_such_payment'
  | 'wrong_amount'
  | 'event_changed'
  | 'refund_refused'
  | 'refund_overdue'
  | 'paid_without_charge'

export interface Anomaly {
  /** Reports under one id are one anomaly, counted. */
  readonly id: string
  readonly kind: AnomalyKind
  readonly provider: string
  readonly reference: string | null
  readonly detail: string
}

export interface NotedAnomaly extends Anomaly {
  readonly times: number
  readonly firstMs: number
  readonly lastMs: number
}

export async function noteAnomaly(query: Transaction, anomaly: Anomaly, nowMs: number, times = 1): Promise<void> {
  const { id, kind, provider, reference, detail } = anomaly
  await query.query(
    `insert into payment_anomalies as a (id, kind, provider, reference, detail, times, first_ms, last_ms)
     values ($1, $2, $3, $4, $5, $6, $7, $7)
     on conflict (id) do update set times = a.times + excluded.times, last_ms = excluded.last_ms, detail = excluded.detail`,
    [id, kind, provider, reference, detail, times, nowMs],
  )
}

/** The same event told again is the same anomaly. */
export function anomalyOf(kind: AnomalyKind, provider: string, event: PaymentEvent, detail: string): Anomaly {
  return { id: `${kind} ${provider} ${event.id}`, kind, provider, reference: event.reference, detail }
}

/** Newest first. */
export async function readAnomalies(query: Query, limit: number): Promise<readonly NotedAnomaly[]> {
  const rows = await query.query<{
    id: string
    kind: AnomalyKind
    provider: string
    reference: string | null
    detail: string
    times: number
    first_ms: number
    last_ms: number
  }>('select * from payment_anomalies order by last_ms desc, id limit $1', [limit])
  return rows.map(({ first_ms, last_ms, ...row }) => ({ ...row, firstMs: first_ms, lastMs: last_ms }))
}
