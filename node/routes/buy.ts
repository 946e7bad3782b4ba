/**
 * `POST /api/sales/{sale}/fares/{fare}/orders`: the rush path.
 *
 * Judged in this order: size, syntax, identity, existence, then as the store judges. Every answer returns the
 * Idempotency-Key, also where it was made here or by nginx, so that a client can always repeat.
 */
import { readBuyBody } from '../../http/buy-body.ts'
import type { Exchange } from '../../http/exchange.ts'
import { isIdempotencyKey } from '../../http/idempotency-key.ts'
import type { Identifier } from '../../http/identity.ts'
import { isoTime } from '../../http/iso-time.ts'
import type { ProblemCode } from '../../http/problems.ts'
import type { Route } from '../../http/route.ts'
import { renderOrder } from '../../http/schemas.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'
import type { ItemStatus } from '../../stock/core/status.ts'
import type { BuyOutcome, NodeMetrics } from '../node-metrics.ts'
import { type BuyAnswer, PendingBuy } from '../pending-buy.ts'
import type { SaleDesk } from '../sale-desk.ts'

const AUTHORIZATION = 0
const KEY = 1
const KEY_MADE = 2
const MADE_KEY_BYTES = 16

type AnswerCode = ProblemCode & BuyOutcome

/** The one table from the store's verdicts to problems; `held` and `replayed` are orders. */
const PROBLEM_OF: Readonly<Record<Exclude<ItemStatus, 'held' | 'replayed'>, AnswerCode>> = {
  no_such_fare: 'no_such_fare',
  key_reused: 'key_reused',
  bad_quantity: 'bad_quantity',
  not_open: 'not_open',
  paused: 'paused',
  closed: 'closed',
  too_late: 'outcome_unknown',
  unlawful: 'internal',
  limit_reached: 'limit_reached',
  not_enough: 'not_enough',
  all_held: 'all_held',
  sold_out: 'sold_out',
}

const REPLAYED_HEADERS = ['Idempotency-Replayed', 'true']

export interface BuyRouteParts {
  readonly desks: ReadonlyMap<string, SaleDesk>
  /** False while a sale without a desk may be one that this node has not heard of yet. */
  readonly knowsSales: () => boolean
  readonly identifier: Identifier
  readonly clock: Clock
  readonly random: Random
  readonly metrics: NodeMetrics
  readonly buyDeadlineMs: number
}

export function buyRoute(parts: BuyRouteParts): Route {
  return {
    method: 'post',
    pattern: '/api/sales/:sale/fares/:fare/orders',
    headers: ['authorization', 'idempotency-key', 'x-farebox-key-made'],
    body: 'bounded',
    deadlineMs: parts.buyDeadlineMs,
    lateCode: 'outcome_unknown',
    begin: (exchange) => returnKey(exchange, parts.random),
    handle: (exchange) => buy(parts, exchange),
  }
}

/** Every answer returns the key, which is left as the exchange's note; a malformed one is neither noted nor echoed. */
function returnKey(exchange: Exchange, random: Random): void {
  const sent = exchange.headers[KEY] ?? ''
  if (sent === '') exchange.note = random.hex(MADE_KEY_BYTES)
  else if (isIdempotencyKey(sent)) exchange.note = sent
  else return
  exchange.addHeader('Idempotency-Key', exchange.note)
}

function buy(parts: BuyRouteParts, exchange: Exchange): void {
  const refuse = (code: AnswerCode, detail?: string): void => {
    parts.metrics.outcomes[code] += 1
    exchange.problem(code, detail)
  }
  const body = readBuyBody(exchange.body)
  if (body.outcome === 'malformed') return refuse('malformed', body.detail)
  const key = exchange.note
  if (key === null) return refuse('bad_key')
  const identity = parts.identifier.identify(exchange.headers[AUTHORIZATION] ?? '')
  if (identity.outcome === 'missing') return refuse('unauthenticated')
  if (identity.outcome === 'refused') return refuse('unauthenticated', identity.detail)
  const [saleId = '', fareId = ''] = exchange.params
  const desk = parts.desks.get(saleId)
  if (desk === undefined) return refuse(parts.knowsSales() ? 'no_such_sale' : 'busy')
  if (desk.quota.fare(fareId) === undefined) return refuse('no_such_fare')

  const { buyer } = identity
  const isKeyMade = exchange.headers[KEY] === '' || exchange.headers[KEY_MADE] === '1'
  const mayRepeat = !isKeyMade && identity.outcome === 'known'
  const wish = { buyer, fareId, quantity: body.quantity, mayRepeat, key, saleId, orderIds: desk.orderIds }
  const nowMs = parts.clock.monotonicMs()
  // In a rush nearly all are answered here, and nothing is made for them.
  const refusal = desk.refusal(wish, nowMs)
  if (refusal !== null) {
    parts.metrics.outcomes[refusal] += 1
    respondProblem(exchange, desk, fareId, refusal, null, nowMs)
    return
  }
  const pending = new PendingBuy(wish, nowMs, (answer) => respond(parts, exchange, desk, pending, answer))
  desk.buy(pending)
  if (!pending.isAnswered) exchange.onAbort = () => desk.abandon(pending)
}

function respond(
  parts: BuyRouteParts,
  exchange: Exchange,
  desk: SaleDesk,
  pending: PendingBuy,
  answer: BuyAnswer,
): void {
  const { outcomes } = parts.metrics
  switch (answer.by) {
    case 'trouble':
      outcomes[answer.code] += 1
      exchange.problem(answer.code)
      return
    case 'memory':
      outcomes[answer.refusal] += 1
      respondProblem(exchange, desk, pending.fareId, answer.refusal, null, parts.clock.monotonicMs())
      return
    case 'store': {
      const { verdict, nowMs } = answer
      const answeredMs = parts.clock.monotonicMs()
      parts.metrics.buyAnswered(pending.arrivedMs, answeredMs)
      if (verdict.order === undefined) {
        const code = PROBLEM_OF[verdict.status as Exclude<ItemStatus, 'held' | 'replayed'>]
        outcomes[code] += 1
        respondProblem(exchange, desk, pending.fareId, code, verdict.buyerTickets ?? null, answeredMs)
        return
      }
      const isNew = verdict.status === 'held'
      outcomes[isNew ? 'won' : 'replayed'] += 1
      const order = renderOrder(desk.definition, verdict.order, nowMs)
      exchange.send(isNew ? 201 : 200, isNew ? null : REPLAYED_HEADERS, order)
    }
  }
}

/** Adds what helps the buyer: when it opens, how many remain, how many are held already. */
function respondProblem(
  exchange: Exchange,
  desk: SaleDesk,
  fareId: string,
  code: AnswerCode,
  buyerTickets: number | null,
  nowMs: number,
): void {
  const { quota, definition } = desk
  switch (code) {
    case 'not_open': {
      const { opensAtMs } = quota
      if (opensAtMs === null) {
        exchange.problem(code, null, { members: { opensAt: null } })
        return
      }
      const waitMs = Math.max(1, opensAtMs - quota.clock.atLeast(nowMs))
      exchange.problem(code, null, { retryAfterMs: waitMs, members: { opensAt: isoTime(opensAtMs) } })
      return
    }
    case 'not_enough':
      exchange.problem(code, null, { members: { remaining: quota.fare(fareId)?.level?.remaining ?? 0 } })
      return
    case 'limit_reached':
      exchange.problem(code, null, { members: { held: buyerTickets ?? 0, limit: definition.limitPerBuyer } })
      return
    default:
      exchange.problem(code)
  }
}
