/**
 * Buyers. Each sends its purchase until it has a final answer, always with the same key, and everything that was
 * sent and heard is written down: the history that the checkers judge.
 */
import http from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { systemClock } from '../runtime/clock.ts'
import { pause } from './wait.ts'

export interface Reply {
  /** 0: no answer came (see `fault`). */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly fault: string | null
}

export interface RequestOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly agent?: http.Agent
  readonly timeoutMs?: number
}

const ANSWER_DEADLINE_MS = 10_000

/** Never rejects: no answer is a status of 0. */
export function request(url: string, options: RequestOptions = {}): Promise<Reply> {
  const { method = 'GET', headers = {}, body, agent, timeoutMs = ANSWER_DEADLINE_MS } = options
  return new Promise((resolve) => {
    const none = (fault: string): void => resolve({ status: 0, headers: {}, text: '', fault })
    const sent = http.request(url, { method, headers, ...(agent ? { agent } : {}) }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, fault: null }),
      )
      response.on('error', (error) => none(error.message))
    })
    sent.setTimeout(timeoutMs, () => sent.destroy(new Error('no answer in time')))
    sent.on('error', (error) => none(error.message))
    sent.end(body)
  })
}

/** The JSON object of an answer; empty when it is none. */
export function jsonOf(reply: Reply): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(reply.text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

export interface Wish {
  readonly buyer: string
  /** Null: sent without one (anonymous). */
  readonly token: string | null
  readonly key: string
  readonly saleId: string
  readonly fareId: string
  readonly quantity: number
}

export interface Attempt {
  /** Base URL that it was sent to: nginx's or a node's. */
  readonly target: string
  /** Monotonic and wall-clock milliseconds of this process. */
  readonly invokedMs: number
  readonly completedMs: number
  readonly completedAtMs: number
  readonly status: number
  readonly code: string | null
  readonly orderId: string | null
  readonly orderCreatedAtMs: number | null
  readonly replayed: boolean
  readonly requestId: string | null
  readonly fault: string | null
}

/** All that one buyer did with one key. */
export interface Purchase extends Wish {
  readonly attempts: readonly Attempt[]
}

export type History = readonly Purchase[]

export async function buyOnce(wish: Wish, target: string, agent?: http.Agent): Promise<Attempt> {
  const { token, key, saleId, fareId, quantity } = wish
  const body = JSON.stringify({ quantity })
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'Content-Length': String(body.length),
    'Idempotency-Key': key,
    ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
  }
  const invokedMs = performance.now()
  const url = `${target}/api/sales/${saleId}/fares/${fareId}/orders`
  const reply = await request(url, { method: 'POST', headers, body, ...(agent ? { agent } : {}) })
  const value = jsonOf(reply)
  const isOrder = reply.status === 200 || reply.status === 201
  return {
    target,
    invokedMs,
    completedMs: performance.now(),
    completedAtMs: systemClock.nowMs(),
    status: reply.status,
    code: typeof value['code'] === 'string' ? value['code'] : null,
    orderId: isOrder && typeof value['id'] === 'string' ? value['id'] : null,
    orderCreatedAtMs: isOrder ? Date.parse(String(value['createdAt'])) : null,
    replayed: reply.headers['idempotency-replayed'] === 'true',
    requestId: (reply.headers['x-request-id'] as string | undefined) ?? null,
    fault: reply.fault,
  }
}

export interface RushOptions {
  /** Buyers who wait for an answer at one time. */
  readonly concurrency?: number
  /** Where an attempt goes. */
  readonly target: (wish: Wish, attempt: number) => string
  /** Buyers come one after the other, this far apart, and not all at once. */
  readonly arrivalMs?: number
  /** Told of each order, when its buyer hears of it. */
  readonly onOrder?: (attempt: Attempt, wish: Wish) => void
  /** A buyer gives up after this many attempts, which the checkers report. */
  readonly attemptsMax?: number
}

const REPEAT_MS = 150

/** Told after every attempt; counts what the buyers know. */
export class Rush {
  /** Tickets of acknowledged orders so far. */
  sold = 0
  refused = 0
  attempts = 0
  readonly #options: RushOptions
  readonly #wishes: readonly Wish[]
  readonly #agent: http.Agent
  #next = 0
  #beganMs = 0
  readonly #history: Purchase[] = []

  constructor(wishes: readonly Wish[], options: RushOptions) {
    this.#wishes = wishes
    this.#options = options
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: options.concurrency ?? 128 })
  }

  get isOver(): boolean {
    return this.#history.length === this.#wishes.length
  }

  async run(): Promise<History> {
    const { concurrency = 128 } = this.#options
    this.#beganMs = performance.now()
    await Promise.all(Array.from({ length: concurrency }, () => this.#serve()))
    this.#agent.destroy()
    return this.#history
  }

  async #serve(): Promise<void> {
    for (;;) {
      const wish = this.#wishes[this.#next]
      if (wish === undefined) return
      const dueMs = this.#beganMs + this.#next * (this.#options.arrivalMs ?? 0)
      this.#next += 1
      if (dueMs > performance.now()) await pause(dueMs - performance.now())
      this.#history.push(await this.#buy(wish))
    }
  }

  async #buy(wish: Wish): Promise<Purchase> {
    const { target, attemptsMax = 100, onOrder } = this.#options
    const attempts: Attempt[] = []
    for (let index = 0; index < attemptsMax; index += 1) {
      const attempt = await buyOnce(wish, target(wish, index), this.#agent)
      attempts.push(attempt)
      this.attempts += 1
      if (attempt.orderId !== null) {
        this.sold += wish.quantity
        onOrder?.(attempt, wish)
      }
      if (attempt.orderId === null && isFinal(attempt)) this.refused += 1
      if (isFinal(attempt)) break
      await pause(REPEAT_MS)
    }
    return { ...wish, attempts }
  }
}

/** Everything else may be repeated with the same key: 429, every 5xx, and no answer at all. */
export function isFinal({ status }: Attempt): boolean {
  return status !== 0 && status !== 429 && status < 500
}

let keys = 0
/** A key of this process that was not used before. */
export function freshKey(): string {
  keys += 1
  return `key-${process.pid}-${String(keys).padStart(6, '0')}`
}
