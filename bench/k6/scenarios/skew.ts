/** The first node gets most of the buyers, past nginx, and must sell far more than its share. */
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, stock, urls } from '../lib/settings.ts'

/** Of ten buyers, how many go to the first node. */
const TO_FIRST = 9
const nodes = urls.slice(1)

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

export default function skew(): void {
  const index = exec.scenario.iterationInTest
  const person = personAt(index)
  if (person === null) return
  const other = 1 + (Math.floor(index / 10) % (nodes.length - 1))
  const url = nodes[index % 10 < TO_FIRST ? 0 : other] ?? ''
  buy({ person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }, () => url)
}
