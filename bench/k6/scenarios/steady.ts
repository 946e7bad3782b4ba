/** An ordinary day: fewer come than could be served, and everybody finds a ticket. What an answer takes then. */
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, urls } from '../lib/settings.ts'

export const options = {
  scenarios: everybodyWithin(),
  thresholds: thresholds({
    orders: buyers,
    iterations: buyers,
    winnerP99Ms: number('WINNER_P99_MS'),
    more: { buyers_refused: ['count==0'] },
  }),
  summaryTrendStats,
}

export const setup = setUpCounters

export default function steady(): void {
  const person = personAt(exec.scenario.iterationInTest)
  if (person === null) return
  buy({ person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }, () => urls[0] ?? '')
}
