/** What the pipeline counts, and the levels that it shows at every scrape. */
import type { Metrics, PlainCounter, Sample } from '../../runtime/metrics.ts'

/** How far one sale's orders have come on their way into the ledger. */
export interface TakingLevel {
  readonly saleId: string
  /** Changes of the store that have not been taken in. */
  readonly behind: number
  /** Age of the oldest order read and not taken in, by the store's clock; 0 when all are in. */
  readonly lagMs: number
  readonly deadLetters: number
}

export class PipelineMetrics {
  /** Orders that came into the ledger. */
  readonly taken: PlainCounter
  readonly batches: PlainCounter
  /** Orders that found no room under the stock: each one is an alarm. */
  readonly conflicts: PlainCounter
  /** Orders that the database refused; each one is an alarm. */
  readonly setAside: PlainCounter
  /** Batches read from a store whose era is not the ledger's. */
  readonly fenced: PlainCounter
  readonly settled: PlainCounter
  /** Fates that the store could not take: it does not know the order, or holds another fate for final. */
  readonly unsettleable: PlainCounter
  readonly expired: PlainCounter
  readonly trimmed: PlainCounter

  constructor(metrics: Metrics, levels: () => Iterable<TakingLevel>) {
    this.taken = metrics.counter('farebox_orders_taken_total', 'Orders that came into the ledger.')
    this.batches = metrics.counter('farebox_order_batches_total', 'Batches of orders committed to the ledger.')
    this.conflicts = metrics.counter('farebox_order_conflicts_total', 'Orders that found no room under the stock.')
    this.setAside = metrics.counter('farebox_orders_set_aside_total', 'Orders that the database refused.')
    this.fenced = metrics.counter(
      'farebox_order_batches_fenced_total',
      'Batches refused for the era they were read in.',
    )
    this.settled = metrics.counter('farebox_orders_settled_total', 'Fates that the store was told.')
    this.unsettleable = metrics.counter('farebox_orders_unsettleable_total', 'Fates that the store could not take.')
    this.expired = metrics.counter('farebox_orders_expired_total', 'Holds that lapsed.')
    this.trimmed = metrics.counter('farebox_events_trimmed_total', 'Events forgotten by the store.')
    const gauge = (name: string, help: string, read: (level: TakingLevel) => number): void =>
      metrics.gauge(name, help, () =>
        Array.from(levels(), (level): Sample => ({ labels: { sale: level.saleId }, value: read(level) })),
      )
    gauge('farebox_orders_behind', 'Changes of the store not yet in the ledger.', ({ behind }) => behind)
    gauge('farebox_orders_lag_ms', 'Age of the oldest order not yet in the ledger.', ({ lagMs }) => lagMs)
    gauge('farebox_dead_letters', 'Orders that the database refuses.', ({ deadLetters }) => deadLetters)
  }
}
