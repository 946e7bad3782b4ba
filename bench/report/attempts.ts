/**
 * The buyers' own records: one line per request that a buyer sent, as `bench/k6/lib/purchase.ts` prints them. They
 * are the first witness of every run, whatever the servers say of themselves.
 */

export const OUTCOMES = ['won', 'replayed', 'refused', 'again', 'unexpected'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface Attempt {
  /** `again`: 429, 503, or no answer; the buyer repeats with the same key. */
  readonly outcome: Outcome
  readonly buyer: string
  readonly key: string
  readonly fare: string
  readonly quantity: number
  /** 0: no answer came. */
  readonly status: number
  /** The order's id, or the problem's code. */
  readonly what: string
  /** Both by one clock, in ms since 1970. */
  readonly sentMs: number
  readonly answeredMs: number
}

const FIELDS = 9
const MARK = 'BUY\t'

/** Lines of k6's log; those of others are passed over. Throws on one that is cut short. */
export function parseAttempts(log: string): Attempt[] {
  return log.split('\n').flatMap((line) => {
    const text = line.includes('\\t') ? line.replaceAll('\\t', '\t') : line
    const at = text.indexOf(MARK)
    return at === -1 ? [] : [parseLine(text.slice(at + MARK.length))]
  })
}

function parseLine(text: string): Attempt {
  const fields = (text.split('" source=')[0] ?? '').split('\t')
  const [outcome, buyer = '', key = '', fare = '', quantity, status, what = '', sentMs, answeredMs] = fields
  const isWhole = fields.length === FIELDS && OUTCOMES.includes(outcome as Outcome) && Number(answeredMs) > 0
  if (!isWhole) throw new Error(`a record of a buyer is not whole: ${text}`)
  return {
    outcome: outcome as Outcome,
    buyer,
    key,
    fare,
    quantity: Number(quantity),
    status: Number(status),
    what,
    sentMs: Number(sentMs),
    answeredMs: Number(answeredMs),
  }
}

export function attemptLines(attempts: readonly Attempt[]): string {
  const lines = attempts.map((one) =>
    [one.outcome, one.buyer, one.key, one.fare, one.quantity, one.status, one.what, one.sentMs, one.answeredMs].join(
      '\t',
    ),
  )
  return lines.map((line) => `${MARK}${line}\n`).join('')
}

/** What the store holds, one line per order. */
export interface StoredOrder {
  readonly id: string
  readonly buyer: string
  readonly fare: string
  readonly quantity: number
  readonly state: string
  readonly createdAtMs: number
}

export function parseOrders(text: string): StoredOrder[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [id = '', buyer = '', fare = '', quantity, state = '', createdAtMs] = line.split('\t')
      return { id, buyer, fare, quantity: Number(quantity), state, createdAtMs: Number(createdAtMs) }
    })
}

export function orderLines(orders: readonly StoredOrder[]): string {
  return orders
    .map(({ id, buyer, fare, quantity, state, createdAtMs }) =>
      [id, buyer, fare, quantity, state, createdAtMs].join('\t'),
    )
    .map((line) => `${line}\n`)
    .join('')
}
