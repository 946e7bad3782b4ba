/** What a scenario counts, and the thresholds on it: the invariants first, latency second. */
import { Counter, Trend } from 'k6/metrics'

export const count = {
  orders: new Counter('buyers_with_order'),
  refused: new Counter('buyers_refused'),
  repeats: new Counter('repeats'),
  unexpected: new Counter('unexpected_answers'),
  unanswered: new Counter('buyers_unanswered'),
}

export const timed = {
  winner: new Trend('winner_ms', true),
  refused: new Trend('refused_ms', true),
}

export interface Expected {
  /** Orders in the end, exactly; null where it is not known beforehand (quantities differ). */
  readonly orders: number | null
  readonly iterations: number
  /** At the 99th percentile, from the first attempt to the final answer. */
  readonly winnerP99Ms: number
  readonly more?: Readonly<Record<string, string[]>>
}

export function thresholds({ orders, iterations, winnerP99Ms, more }: Expected): Record<string, string[]> {
  return {
    unexpected_answers: ['count==0'],
    buyers_unanswered: ['count==0'],
    // k6 could not keep up: the run says nothing.
    dropped_iterations: ['count==0'],
    iterations: [`count>=${iterations}`],
    ...(orders === null ? {} : { buyers_with_order: [`count==${orders}`] }),
    winner_ms: [`p(99)<${winnerP99Ms}`],
    ...more,
  }
}

export const summaryTrendStats = ['med', 'p(95)', 'p(99)', 'max']

/** So that the counters are there, and their thresholds judged, also when nothing of the kind happens. */
export function setUpCounters(): void {
  for (const counter of Object.values(count)) counter.add(0)
}
