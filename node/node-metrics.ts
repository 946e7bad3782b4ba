/** What a node counts. The hot path adds to plain numbers; prom-client reads them at scrape. */
import {
  LATENCY_BOUNDS_SECONDS,
  type Metrics,
  type PlainCounter,
  type PlainHistogram,
  type Sample,
  SIZE_BOUNDS,
} from '../runtime/metrics.ts'
import { conservationFault } from '../stock/core/sale-record.ts'
import type { PendingBuy } from './pending-buy.ts'
import type { SaleDesk } from './sale-desk.ts'

/** How a buy call ended: `won`, `replayed`, or the problem's code. */
export const BUY_OUTCOMES = [
  'won',
  'replayed',
  'malformed',
  'bad_key',
  'unauthenticated',
  'no_such_sale',
  'no_such_fare',
  'key_reused',
  'bad_quantity',
  'not_open',
  'paused',
  'closed',
  'limit_reached',
  'not_enough',
  'all_held',
  'sold_out',
  'busy',
  'recovering',
  'outcome_unknown',
  'internal',
] as const
export type BuyOutcome = (typeof BUY_OUTCOMES)[number]

/** What a desk reports. */
export interface DeskMetrics {
  readonly storeErrors: PlainCounter
  batchSent(batch: readonly PendingBuy[], sentMs: number): void
  batchAnswered(sentMs: number, receivedMs: number): void
}

export class NodeMetrics implements DeskMetrics {
  readonly outcomes: Record<BuyOutcome, number>
  readonly storeErrors: PlainCounter
  readonly #scriptCalls: PlainCounter
  readonly #batchSize: PlainHistogram
  readonly #waited: PlainHistogram
  readonly #confirmed: PlainHistogram
  readonly #answered: PlainHistogram

  constructor(metrics: Metrics, desks: () => Iterable<SaleDesk>) {
    this.outcomes = metrics.counters('farebox_buys_total', 'Buy calls by how they ended.', 'outcome', BUY_OUTCOMES)
    this.storeErrors = metrics.counter('farebox_store_errors_total', 'Calls to the store without a proper reply.')
    this.#scriptCalls = metrics.counter('farebox_confirm_calls_total', 'Calls of the confirm script.')
    this.#batchSize = metrics.histogram('farebox_batch_items', 'Purchases per confirm call.', SIZE_BOUNDS)
    const [waited, confirmed, answered] = metrics.histograms(
      'farebox_buy_stage_seconds',
      'Time of purchases by stage: wait before being sent, confirm call, and from arrival to answer.',
      LATENCY_BOUNDS_SECONDS,
      [{ stage: 'wait' }, { stage: 'confirm' }, { stage: 'total' }],
    )
    if (waited === undefined || confirmed === undefined || answered === undefined) throw new Error('three stages')
    this.#waited = waited
    this.#confirmed = confirmed
    this.#answered = answered
    addDeskGauges(metrics, desks)
  }

  batchSent(batch: readonly PendingBuy[], sentMs: number): void {
    this.#scriptCalls.value += 1
    this.#batchSize.observe(batch.length)
    // One observation per batch, of its oldest item: what a buyer waits at most.
    const oldest = batch[0]
    if (oldest !== undefined) this.#waited.observe((sentMs - oldest.arrivedMs) / 1000)
  }

  batchAnswered(sentMs: number, receivedMs: number): void {
    this.#confirmed.observe((receivedMs - sentMs) / 1000)
  }

  buyAnswered(arrivedMs: number, answeredMs: number): void {
    this.#answered.observe((answeredMs - arrivedMs) / 1000)
  }
}

function addDeskGauges(metrics: Metrics, desks: () => Iterable<SaleDesk>): void {
  const perFare = (read: (fare: FareNumbers) => number) => (): Sample[] =>
    [...desks()].flatMap((desk) =>
      fareNumbers(desk).map((fare) => ({
        labels: { sale: desk.definition.id, fare: fare.fareId },
        value: read(fare),
      })),
    )
  metrics.gauge(
    'farebox_quota_allowance_tickets',
    'Tickets this node may have in flight.',
    perFare((f) => f.allowance),
  )
  metrics.gauge(
    'farebox_quota_in_flight_tickets',
    'Deductions without an answer.',
    perFare((f) => f.inFlight),
  )
  metrics.gauge(
    'farebox_quota_available_tickets',
    'Allowance less in flight.',
    perFare((f) => f.available),
  )
  metrics.gauge(
    'farebox_remaining_tickets',
    'Tickets nobody holds, as last heard.',
    perFare((f) => f.remaining),
  )
  metrics.gauge(
    'farebox_stock_law_broken',
    '1 when the counters last heard break stock = remaining + held + paid.',
    perFare((f) => (f.isLawful ? 0 : 1)),
  )
  metrics.gauge('farebox_line_wishes', 'Wishes waiting for quota.', () =>
    [...desks()].map((desk) => ({ labels: { sale: desk.definition.id }, value: desk.quota.lineLength })),
  )
  metrics.gauge(
    'farebox_winners_unread',
    '1 while this node still reads who has won; refusals ask the store then.',
    () =>
      [...desks()].map((desk) => ({
        labels: { sale: desk.definition.id },
        value: desk.quota.winners.isReading ? 1 : 0,
      })),
  )
  metrics.gauge('farebox_heartbeat_age_seconds', 'Time since the last heartbeat was answered.', () =>
    [...desks()].map((desk) => ({ labels: { sale: desk.definition.id }, value: desk.heartbeatAgeMs / 1000 })),
  )
}

interface FareNumbers {
  readonly fareId: string
  readonly remaining: number
  readonly allowance: number
  readonly inFlight: number
  readonly available: number
  readonly confirmed: number
  readonly isLawful: boolean
}

/** A desk's fares in numbers, for metrics and for the admin port. */
export function fareNumbers(desk: SaleDesk): FareNumbers[] {
  return [...desk.quota.fares()].map((fare) => ({
    fareId: fare.fareId,
    remaining: fare.level?.remaining ?? 0,
    allowance: fare.level?.allowance ?? 0,
    inFlight: fare.inFlight,
    available: fare.available,
    confirmed: fare.confirmed,
    isLawful: fare.level === null || conservationFault(fare.fareId, fare.level) === null,
  }))
}
