/** Several fares of very different size and one or two tickets at a time; whoever finds none takes the next fare. */
import exec from 'k6/execution'
import { everybodyWithin } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, urls } from '../lib/settings.ts'

export const options = {
  scenarios: everybodyWithin(),
  thresholds: thresholds({ orders: null, iterations: buyers, winnerP99Ms: number('WINNER_P99_MS') }),
  summaryTrendStats,
}

export const setup = setUpCounters

export default function mixedFares(): void {
  const index = exec.scenario.iterationInTest
  const person = personAt(index)
  if (person === null) return
  for (let n = 0; n < fares.length; n += 1) {
    const fare = fares[(index + n) % fares.length] ?? ''
    // A last single ticket goes to whoever is content with one.
    for (const quantity of index % 3 === 0 ? [2, 1] : [1]) {
      const { outcome } = buy({ person, purchase: `${fare}-${quantity}`, fare, quantity }, () => urls[0] ?? '')
      if (outcome !== 'refused') return
    }
  }
}
