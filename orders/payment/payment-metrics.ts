/** What a scrape hears of the money side. */
import type { Metrics } from '../../runtime/metrics.ts'

/** The fate of a charge where one was applied, else why nothing was. */
export const WEBHOOK_OUTCOMES = [
  'kept',
  'retaking',
  'refunding',
  'refunded',
  'nothing',
  'replayed',
  'no_such_payment',
  'wrong_amount',
  'bad_signature',
  'stale_timestamp',
  'malformed',
] as const

export interface PaymentMetrics {
  readonly webhooks: Record<(typeof WEBHOOK_OUTCOMES)[number], number>
  readonly refunds: Record<'done' | 'failed', number>
}

export function paymentMetrics(metrics: Metrics): PaymentMetrics {
  return {
    webhooks: metrics.counters('farebox_payment_webhooks_total', 'Webhooks by outcome.', 'outcome', WEBHOOK_OUTCOMES),
    refunds: metrics.counters('farebox_payment_refunds_total', 'Tries of refunds.', 'outcome', ['done', 'failed']),
  }
}
