/**
 * Every problem that the API can answer: code, status, title, and after how long a repeat makes sense.
 *
 * Bodies are built by joining prepared text, because a sold-out fare answers nothing else, at full speed.
 */
import type { Random } from '../runtime/random.ts'

interface ProblemKind {
  readonly status: number
  readonly title: string
  /** Base of Retry-After, where one is due and the caller knows nothing better. */
  readonly retryAfterMs?: number
}

export const PROBLEMS = {
  malformed: { status: 400, title: 'The request cannot be read' },
  bad_key: { status: 400, title: 'Idempotency-Key must be 8 to 64 of A-Z, a-z, 0-9, _ and -' },
  bad_signature: { status: 400, title: 'The signature is not by the provider over this body' },
  stale_timestamp: { status: 400, title: 'The signature is too old, or from the future' },
  unauthenticated: { status: 401, title: 'A valid bearer token is needed' },
  blocked: { status: 403, title: 'This buyer may not do that' },
  not_found: { status: 404, title: 'No such path' },
  no_such_sale: { status: 404, title: 'No such sale' },
  no_such_fare: { status: 404, title: 'No such fare' },
  no_such_order: { status: 404, title: 'No such order' },
  no_such_payment: { status: 404, title: 'No such payment' },
  method_not_allowed: { status: 405, title: 'This path does not have that method' },
  not_open: { status: 409, title: 'The sale is not open yet', retryAfterMs: 1000 },
  paused: { status: 409, title: 'The sale is paused', retryAfterMs: 2000 },
  closed: { status: 409, title: 'The sale is closed' },
  sold_out: { status: 409, title: 'All tickets of this fare are sold' },
  all_held: { status: 409, title: 'All tickets of this fare are held; some may come back', retryAfterMs: 5000 },
  not_enough: { status: 409, title: 'Fewer tickets remain than were asked for' },
  limit_reached: { status: 409, title: 'The limit of tickets per buyer is reached' },
  not_picked: { status: 409, title: 'This buyer has not been picked yet', retryAfterMs: 5000 },
  not_held: { status: 409, title: 'The order is not held any more' },
  already_paid: { status: 409, title: 'The order is paid already' },
  not_paid: { status: 409, title: 'The order is not paid' },
  too_large: { status: 413, title: 'The request body is too large' },
  key_reused: { status: 422, title: 'The Idempotency-Key was used for another fare or quantity' },
  bad_quantity: { status: 422, title: 'The quantity must be a whole number from 1 to the limit per buyer' },
  wrong_amount: { status: 422, title: 'Another amount or currency is due' },
  rate_limited: { status: 429, title: 'Too many requests', retryAfterMs: 1000 },
  headers_too_large: { status: 431, title: 'The request headers are too large' },
  internal: { status: 500, title: 'Something broke on our side; repeat with the same key' },
  busy: { status: 503, title: 'Too much to do right now; repeat with the same key', retryAfterMs: 1000 },
  recovering: { status: 503, title: 'The sale is being recovered; repeat with the same key', retryAfterMs: 2000 },
  outcome_unknown: { status: 503, title: 'The outcome is not known; repeat with the same key', retryAfterMs: 1000 },
} as const satisfies Readonly<Record<string, ProblemKind>>

export type ProblemCode = keyof typeof PROBLEMS
export const PROBLEM_CODES = Object.keys(PROBLEMS) as ProblemCode[]

export interface ProblemExtras {
  /** Base for Retry-After instead of the table's; only for codes that carry one. */
  readonly retryAfterMs?: number
  /** Extension members: `opensAt`, `remaining`, `held`, `limit`. */
  readonly members?: Readonly<Record<string, string | number | null>>
}

export interface RenderedProblem {
  readonly status: number
  readonly body: string
  /** Whole seconds for the header, or null where none is due. */
  readonly retryAfterSeconds: number | null
}

/** A crowd must not come back in one second, and nobody much later than is worth it. */
const SPREAD = 0.3
const MAX_SPREAD_MS = 10_000

const HEADS = Object.fromEntries(
  PROBLEM_CODES.map((code) => {
    const { status, title } = PROBLEMS[code]
    const head = JSON.stringify({ type: `urn:farebox:problem:${code}`, title, status, code })
    return [code, { head: `${head.slice(0, -1)},"detail":`, detail: JSON.stringify(title) }]
  }),
) as Record<ProblemCode, { readonly head: string; readonly detail: string }>

export function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEMS, code)
}

/** Base plus up to 30 % of it (at most 10 s), never sooner than the base. */
export function spreadRetryMs(baseMs: number, random: Random): number {
  return Math.round(baseMs + random.next() * Math.min(baseMs * SPREAD, MAX_SPREAD_MS))
}

/** `requestId` goes into the body as it is: it must be of [A-Za-z0-9_-]. */
export function renderProblem(
  code: ProblemCode,
  requestId: string,
  random: Random,
  detail?: string | null,
  extras?: ProblemExtras,
): RenderedProblem {
  const kind: ProblemKind = PROBLEMS[code]
  const prepared = HEADS[code]
  let body = prepared.head + (typeof detail === 'string' ? JSON.stringify(detail) : prepared.detail)
  body += `,"requestId":"${requestId}","retryAfterMs":`
  let retryAfterSeconds: number | null = null
  if (kind.retryAfterMs === undefined) body += 'null'
  else {
    const retryAfterMs = spreadRetryMs(Math.max(1, extras?.retryAfterMs ?? kind.retryAfterMs), random)
    retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1000))
    body += retryAfterMs
  }
  const members = extras?.members
  if (members !== undefined) {
    for (const name of Object.keys(members)) body += `,${JSON.stringify(name)}:${JSON.stringify(members[name])}`
  }
  return { status: kind.status, body: `${body}}`, retryAfterSeconds }
}
