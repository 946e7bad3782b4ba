/**
 * One purchase as a buyer makes it: sent, and sent again with the same key after 503 or no answer, until there is a
 * final answer. Every attempt is printed as one line, the buyer's own record: what crosses buyers (an order told to
 * two, a "no" before the last ticket went) is judged from these lines afterwards, by `bench/report`.
 */
import { sleep } from 'k6'
import http, { type RefinedResponse } from 'k6/http'
import { count, timed } from './metrics.ts'
import { memberOf, outcomeOf, type Outcome } from './outcome.ts'
import type { Person } from './people.ts'
import { runId, sale } from './settings.ts'

const GIVE_UP_AFTER_MS = 60_000
const ANSWER_WITHIN = '10s'
const REPEAT_NOT_BEFORE_SECONDS = 0.05

http.setResponseCallback(http.expectedStatuses(200, 201, 303, 409, 422, 429, 503))

export interface Wish {
  readonly person: Person
  /** Told apart from the buyer's other purchases in the run. */
  readonly purchase: string
  readonly fare: string
  readonly quantity: number
}

export interface Ended {
  readonly outcome: Exclude<Outcome, 'again'> | 'gave up'
  /** Order id, or the refusal's code. */
  readonly what: string
}

/** `urlOf` says where each attempt goes. */
export function buy(wish: Wish, urlOf: (attempt: number) => string): Ended {
  const startMs = Date.now()
  for (let attempt = 0; Date.now() - startMs < GIVE_UP_AFTER_MS; attempt += 1) {
    const sentMs = Date.now()
    const response = http.post<'text'>(...requestOf(wish, urlOf(attempt)))
    const outcome = heard(wish, response, sentMs)
    if (outcome !== 'again') return finish(outcome, response, startMs)
    count.repeats.add(1)
    sleep(Math.max(REPEAT_NOT_BEFORE_SECONDS, Number(memberOf(response, 'retryAfterMs')) / 1000))
  }
  count.unanswered.add(1)
  return { outcome: 'gave up', what: '' }
}

/** The same request to several places at one moment. */
export function buyAtOnce(wish: Wish, urls: readonly string[]): Ended[] {
  const sentMs = Date.now()
  const requests = urls.map((base) => {
    const [url, body, params] = requestOf(wish, base)
    return { method: 'POST', url, body, params }
  })
  return http.batch(requests).map((answer) => {
    const response = answer as RefinedResponse<'text'>
    const outcome = heard(wish, response, sentMs)
    const what = memberOf(response, outcome === 'refused' ? 'code' : 'id')
    return { outcome: outcome === 'again' ? 'gave up' : outcome, what }
  })
}

function requestOf({ person, purchase, fare, quantity }: Wish, base: string): [string, string, object] {
  const headers = {
    Authorization: `Bearer ${person.token}`,
    'Idempotency-Key': keyOf(person, purchase),
    'Content-Type': 'application/json',
  }
  const url = `${base}/api/sales/${sale}/fares/${fare}/orders`
  return [url, `{"quantity":${quantity}}`, { headers, timeout: ANSWER_WITHIN, tags: { name: 'buy' } }]
}

export function keyOf({ buyer }: Person, purchase: string): string {
  return `${runId}-${purchase}-${buyer}`
}

/** Writes an attempt down. */
function heard(wish: Wish, response: RefinedResponse<'text'>, sentMs: number): Outcome {
  const { person, purchase, fare, quantity } = wish
  const outcome = outcomeOf(response)
  const hasOrder = outcome === 'won' || outcome === 'replayed'
  const what = memberOf(response, hasOrder ? 'id' : 'code')
  if (outcome === 'unexpected') count.unexpected.add(1)
  record(outcome, person.buyer, keyOf(person, purchase), fare, quantity, response.status, what, sentMs, Date.now())
  return outcome
}

/** A replay is the answer to a repeat after an unknown outcome: the buyer's first and only order. */
function finish(outcome: Exclude<Outcome, 'again'>, response: RefinedResponse<'text'>, startMs: number): Ended {
  const tookMs = Date.now() - startMs
  if (outcome === 'refused') {
    count.refused.add(1)
    timed.refused.add(tookMs)
  } else if (outcome !== 'unexpected') {
    count.orders.add(1)
    timed.winner.add(tookMs)
  }
  return { outcome, what: memberOf(response, outcome === 'refused' ? 'code' : 'id') }
}

/** Lines of equal form, for `bench/report/attempts.ts`. */
export function record(...fields: readonly (string | number)[]): void {
  console.log(['BUY', ...fields].join('\t'))
}
