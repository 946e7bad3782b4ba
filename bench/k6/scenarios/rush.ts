/**
 * The rush: everybody at the opening second, more buyers than tickets, in an open model (buyers do not wait for one
 * another). Every buyer has a token and a key, and repeats with the same key after 503 or no answer.
 *
 * The thresholds are the invariants first: exactly as many answers 201 as there are tickets, no unexpected answer, no
 * buyer left without a final one. `dropped_iterations` above 0 means that k6 could not keep up: the run is invalid.
 * What crosses buyers (the same order twice, a "no" before the last ticket went) is judged afterwards from what each
 * buyer prints, by `bench/rush`.
 */
import { sleep } from 'k6'
import exec from 'k6/execution'
import http from 'k6/http'
import { Counter, Trend } from 'k6/metrics'
import { SharedArray } from 'k6/data'
import { memberOf, outcomeOf } from '../lib/outcome.ts'

const stock = Number(__ENV['STOCK'])
const buyers = Number(__ENV['BUYERS'])
const seconds = Number(__ENV['SECONDS'])
const url = `${__ENV['URL'] ?? ''}/api/sales/${__ENV['SALE'] ?? ''}/fares/${__ENV['FARE'] ?? ''}/orders`
const GIVE_UP_AFTER_MS = 60_000
const ANSWER_WITHIN = '10s'

/** Lines of `farebox token --count`: buyer, tab, token. */
const tokens = new SharedArray('tokens', () =>
  open(__ENV['TOKENS'] ?? '')
    .trim()
    .split('\n'),
)

const won = new Counter('tickets_won')
const refused = new Counter('buyers_refused')
const repeated = new Counter('repeats')
const unexpected = new Counter('unexpected_answers')
const unanswered = new Counter('buyers_unanswered')
const winnerMs = new Trend('winner_ms', true)
const refusedMs = new Trend('refused_ms', true)

http.setResponseCallback(http.expectedStatuses(200, 201, 409, 429, 503))

export const options = {
  scenarios: {
    rush: {
      executor: 'constant-arrival-rate',
      rate: Math.ceil(buyers / seconds),
      timeUnit: '1s',
      duration: `${seconds}s`,
      preAllocatedVUs: Number(__ENV['VUS'] ?? 2000),
      maxVUs: Number(__ENV['VUS'] ?? 2000),
      gracefulStop: '90s',
    },
  },
  thresholds: {
    tickets_won: [`count==${stock}`],
    unexpected_answers: ['count==0'],
    buyers_unanswered: ['count==0'],
    dropped_iterations: ['count==0'],
    iterations: [`count>=${buyers}`],
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
}

export function setup(): void {
  // So that the counters are there, and their thresholds judged, also when nothing of the kind happens.
  for (const counter of [won, unexpected, unanswered, refused, repeated]) counter.add(0)
}

export default function rush(): void {
  const index = exec.scenario.iterationInTest
  const [buyer = '', token = ''] = (tokens[index] ?? '').split('\t')
  // The rate is rounded up: whoever comes after the last buyer has nobody to be.
  if (token === '') return
  const startMs = Date.now()
  const params = {
    headers: {
      Authorization: `Bearer ${token}`,
      'Idempotency-Key': `rush-${buyer}`,
      'Content-Type': 'application/json',
    },
    timeout: ANSWER_WITHIN,
    tags: { name: 'buy' },
  }
  while (Date.now() - startMs < GIVE_UP_AFTER_MS) {
    const sentMs = Date.now()
    const response = http.post<'text'>(url, '{"quantity":1}', params)
    const outcome = outcomeOf(response)
    if (outcome !== 'again') {
      finish(outcome, buyer, response, sentMs, startMs)
      return
    }
    repeated.add(1)
    sleep(Math.max(0.05, Number(memberOf(response, 'retryAfterMs')) / 1000))
  }
  unanswered.add(1)
}

/** A replay here is the answer to a repeat after an unknown outcome: the buyer's first and only order. */
function finish(
  outcome: 'won' | 'replayed' | 'refused' | 'unexpected',
  buyer: string,
  response: http.RefinedResponse<'text'>,
  sentMs: number,
  startMs: number,
): void {
  const nowMs = Date.now()
  if (outcome === 'unexpected') {
    unexpected.add(1)
    console.log(`RUSH\tunexpected\t${buyer}\t${response.status} ${memberOf(response, 'code')}\t${sentMs}\t${nowMs}`)
    return
  }
  if (outcome === 'refused') {
    refused.add(1)
    refusedMs.add(nowMs - startMs)
  } else {
    won.add(1)
    winnerMs.add(nowMs - startMs)
  }
  const what = outcome === 'refused' ? memberOf(response, 'code') : memberOf(response, 'id')
  console.log(`RUSH\t${outcome === 'refused' ? 'refused' : 'won'}\t${buyer}\t${what}\t${sentMs}\t${nowMs}`)
}
