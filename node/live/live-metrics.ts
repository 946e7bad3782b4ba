/** What the live connections of a node count. */
import type { Metrics, PlainCounter } from '../../runtime/metrics.ts'
import { MESSAGE_KINDS } from './outbox.ts'

/** Anything else counts as `other`; 1006 is a connection that ended without a word. */
const CLOSE_CODES = ['1000', '1001', '1005', '1006', '1011', '1012', '1013', '4400', '4401', '4404', 'other'] as const
type CloseCode = (typeof CLOSE_CODES)[number]

export class LiveMetrics {
  readonly messages: Record<(typeof MESSAGE_KINDS)[number], number>
  /** Messages that a newer one replaced before they were sent. */
  readonly dropped: PlainCounter
  readonly #closed: Record<CloseCode, number>

  constructor(metrics: Metrics, sockets: () => number) {
    metrics.gauge('farebox_live_sockets', 'Open live connections.', sockets)
    this.messages = metrics.counters(
      'farebox_live_messages_total',
      'Messages sent over live connections; one to a hundred sockets counts as a hundred.',
      'type',
      MESSAGE_KINDS,
    )
    this.dropped = metrics.counter('farebox_live_dropped_total', 'Live messages replaced by newer ones before sending.')
    this.#closed = metrics.counters(
      'farebox_live_closed_total',
      'Live connections closed, by code.',
      'code',
      CLOSE_CODES,
    )
  }

  closed(code: number): void {
    const name = String(code)
    this.#closed[isCloseCode(name) ? name : 'other'] += 1
  }
}

function isCloseCode(name: string): name is CloseCode {
  return (CLOSE_CODES as readonly string[]).includes(name)
}
