/**
 * The long tail: few tickets, gone at once, and then nothing but people to be refused. Whoever has won asks again with
 * the same key long after the last ticket went, and must hear of the same order.
 */
import { sleep } from 'k6'
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy, buyAtOnce } from '../lib/purchase.ts'
import { buyers, fares, number, seconds, stock, urls } from '../lib/settings.ts'

export const options = {
  scenarios: everybodyWithin(),
  thresholds: thresholds({
    orders: Math.min(stock, buyers),
    iterations: buyers,
    winnerP99Ms: number('WINNER_P99_MS'),
    more: { refused_ms: [`p(99)<${number('REFUSED_P99_MS')}`] },
  }),
  summaryTrendStats,
}

export const setup = setUpCounters

export default function soldOutTail(): void {
  const person = personAt(exec.scenario.iterationInTest)
  if (person === null) return
  const wish = { person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }
  const { outcome } = buy(wish, () => urls[0] ?? '')
  if (outcome !== 'won') return
  sleep(seconds / 2)
  buyAtOnce(wish, [urls[0] ?? ''])
}
