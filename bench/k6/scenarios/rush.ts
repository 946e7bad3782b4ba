/** The rush: everybody at the opening second, more buyers than tickets. */
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, stock, urls } from '../lib/settings.ts'

export const options = {
  scenarios: everybodyWithin(),
  thresholds: thresholds({
    orders: Math.min(stock, buyers),
    iterations: buyers,
    winnerP99Ms: number('WINNER_P99_MS'),
  }),
  summaryTrendStats,
}

export const setup = setUpCounters

export default function rush(): void {
  const person = personAt(exec.scenario.iterationInTest)
  if (person === null) return
  buy({ person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }, () => urls[0] ?? '')
}
