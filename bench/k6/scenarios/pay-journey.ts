/**
 * From wish to ticket: buy, ask where to pay, press the sandbox's button, wait for the order to be paid, fetch the
 * ticket. One in four walks away and lets the hold lapse; who was refused tries again until the tickets that come back
 * are gone too. In the end every ticket is paid, and every payer has seen a ticket.
 */
import { sleep } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { Counter } from 'k6/metrics'
import { everybodyWithin } from '../lib/arrivals.ts'
import { count, setUpCounters, summaryTrendStats, thresholds } from '../lib/metrics.ts'
import { memberOf } from '../lib/outcome.ts'
import { personAt, type Person } from '../lib/people.ts'
import { buy } from '../lib/purchase.ts'
import { buyers, fares, number, stock, urls } from '../lib/settings.ts'

const paid = new Counter('orders_paid')
const tickets = new Counter('tickets_seen')
const url = urls[0] ?? ''
const WALKS_AWAY_EVERY = 4
/** Several holds' time: what lapses is bought again, and may lapse again. */
const TRIES_FOR_MS = 45_000
const TRY_AGAIN_SECONDS = 2
const SETTLED_WITHIN_MS = 30_000

export const options = {
  scenarios: everybodyWithin(),
  thresholds: thresholds({
    orders: null,
    iterations: buyers,
    winnerP99Ms: number('WINNER_P99_MS'),
    more: { orders_paid: [`count==${stock}`], tickets_seen: [`count==${stock}`] },
  }),
  summaryTrendStats,
}

export function setup(): void {
  setUpCounters()
  paid.add(0)
  tickets.add(0)
}

export default function payJourney(): void {
  const index = exec.scenario.iterationInTest
  const person = personAt(index)
  if (person === null) return
  const wish = { person, purchase: 'a', fare: fares[0] ?? '', quantity: 1 }
  const startMs = Date.now()
  let ended = buy(wish, () => url)
  while (ended.outcome === 'refused' && ended.what !== 'sold_out' && Date.now() - startMs < TRIES_FOR_MS) {
    sleep(TRY_AGAIN_SECONDS * (0.75 + Math.random() / 2))
    ended = buy(wish, () => url)
  }
  if ((ended.outcome !== 'won' && ended.outcome !== 'replayed') || index % WALKS_AWAY_EVERY === 0) return
  if (pay(person, ended.what)) seeTicket(person, ended.what)
}

/** True when the order is paid. */
function pay(person: Person, orderId: string): boolean {
  const asked = http.post<'text'>(`${url}/api/orders/${orderId}/payment`, null, paramsOf(person, 'payment'))
  const redirectUrl = memberOf(asked, 'redirectUrl')
  if (redirectUrl === '') return unexpected(`payment answered ${asked.status} ${memberOf(asked, 'code')}`)
  const page = redirectUrl.startsWith('/') ? `${url}${redirectUrl}` : redirectUrl
  const shown = http.get<'text'>(page, { tags: { name: 'sandbox page' } })
  if (shown.status !== 200) return unexpected(`the sandbox's page answered ${shown.status}`)
  const pressed = http.post<'text'>(page, { outcome: 'pay' }, { redirects: 0, tags: { name: 'sandbox button' } })
  if (pressed.status !== 303 && pressed.status !== 200) return unexpected(`the button answered ${pressed.status}`)
  return untilPaid(person, orderId)
}

function untilPaid(person: Person, orderId: string): boolean {
  const startMs = Date.now()
  while (Date.now() - startMs < SETTLED_WITHIN_MS) {
    const state = memberOf(http.get<'text'>(`${url}/api/orders/${orderId}`, paramsOf(person, 'order')), 'state')
    if (state === 'paid') {
      paid.add(1)
      return true
    }
    if (state === 'released') return unexpected('a hold lapsed although it was paid in time')
    sleep(0.5)
  }
  return unexpected('a payment was never heard of')
}

function seeTicket(person: Person, orderId: string): void {
  const startMs = Date.now()
  const ask = () => http.get<'text'>(`${url}/api/orders/${orderId}/tickets`, paramsOf(person, 'tickets'))
  let answer = ask()
  // Trouble is answered as trouble, and whoever has paid asks again.
  while (answer.status === 503 && Date.now() - startMs < SETTLED_WITHIN_MS) {
    sleep(Math.max(0.5, Number(memberOf(answer, 'retryAfterMs')) / 1000))
    answer = ask()
  }
  if (answer.status === 200 && memberOf(answer, 'items.0.code') !== '') tickets.add(1)
  else unexpected(`tickets answered ${answer.status} ${memberOf(answer, 'code')}`)
}

function unexpected(what: string): false {
  count.unexpected.add(1)
  console.log(`NOTE\t${what}`)
  return false
}

function paramsOf({ token }: Person, name: string) {
  return { headers: { Authorization: `Bearer ${token}` }, timeout: '10s', tags: { name } }
}
