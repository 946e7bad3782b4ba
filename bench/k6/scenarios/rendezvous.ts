/** All of them wait with an open connection and are let go in the same instant. */
import { sleep } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { everybodyWaiting } from '../lib/arrivals.ts'
import { setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { personAt } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, sale, seconds, stock, urls } from '../lib/settings.ts'

export const options = {
  scenarios: everybodyWaiting(),
  thresholds: thresholds({
    orders: Math.min(stock, buyers),
    iterations: buyers,
    winnerP99Ms: number('WINNER_P99_MS'),
  }),
  summaryTrendStats,
}

export function setup(): { readonly goAtMs: number } {
  setUpCounters()
  // Opening the connections is part of neither the waiting nor the answer.
  return { goAtMs: Date.now() + seconds * 1000 }
}

export default function rendezvous({ goAtMs }: { readonly goAtMs: number }): void {
  const person = personAt(exec.vu.idInTest - 1)
  if (person === null) return
  const url = urls[0] ?? ''
  // Nobody opens a thousand connections at the instant itself: people look at the page first.
  sleep(((exec.vu.idInTest / buyers) * (goAtMs - Date.now())) / 2000)
  http.get(`${url}/api/sales/${sale}`, { tags: { name: 'look' } })
  sleep(Math.max(0, (goAtMs - Date.now()) / 1000))
  buy({ person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }, () => url)
}
