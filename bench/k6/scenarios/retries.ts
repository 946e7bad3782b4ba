/**
 * Impatient people: every purchase is sent to nginx and to every node at the same moment, and to all of them again
 * afterwards, always with the same key. One order each, the same id everywhere.
 */
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy, buyAtOnce } from '../lib/purchase.ts'
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

export default function retries(): void {
  const index = exec.scenario.iterationInTest
  const person = personAt(index)
  if (person === null) return
  const wish = { person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }
  buyAtOnce(wish, urls)
  buy(wish, (attempt) => urls[(index + attempt) % urls.length] ?? '')
  buyAtOnce(wish, urls)
}
