/** What the scenarios have in common: who wants what, which answers are in order, and whether all promises were kept. */
import {
  allEnded,
  auditAgrees,
  exactSale,
  noFalseScarcity,
  oneOrderPerKey,
  onlyAnswers,
  tally,
  withinLimit,
} from './checkers.ts'
import type { Stock, Violation } from './checkers.ts'
import { freshKey } from './client.ts'
import type { History, Wish } from './client.ts'
import type { Cluster, NodeView } from './cluster.ts'
import { until } from './wait.ts'

export interface Buyer {
  readonly buyer: string
  readonly token: string
}

export function wishOf({ buyer, token }: Buyer, more: Partial<Wish> = {}): Wish {
  return { buyer, token, key: freshKey(), saleId: 'rush', fareId: 'seat', quantity: 1, ...more }
}

/** Answers that a sale which is open, and healthy, gives. */
export const HEALTHY = ['201', '200', '409 all_held', '409 limit_reached']
/** And what buyers hear, and repeat after, while things die. An answer it always is: nginx lives, and drops nobody. */
export const TROUBLED = [...HEALTHY, '503 busy', '503 outcome_unknown', '503 recovering']

export interface Expected {
  readonly stock: Stock
  readonly limit: number
  readonly answers: readonly string[]
}

/** All checkers at once, so that a failure shows everything that is wrong. Prints what was heard. */
export async function judge(
  cluster: Cluster,
  history: History,
  expected: Expected,
  saleId = cluster.saleId,
): Promise<Violation[]> {
  const { stock, limit, answers } = expected
  say(`heard ${JSON.stringify(tally(history))}`)
  return [
    ...exactSale(history, stock),
    ...withinLimit(history, limit),
    ...oneOrderPerKey(history),
    ...noFalseScarcity(history),
    ...onlyAnswers(history, answers),
    ...allEnded(history),
    ...auditAgrees(history, await cluster.audit(saleId)),
  ]
}

/** A line for whoever reads the run. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Tickets that a node has deducted and not heard of, by its own record. */
export async function inFlightOf({ adminUrl }: NodeView): Promise<number> {
  const state = (await (await fetch(`${adminUrl}/state`)).json()) as {
    sales: { fares: { inFlight: number }[] }[]
  }
  return state.sales[0]?.fares[0]?.inFlight ?? 0
}

/**
 * Does something to a node while purchases are surely under way in it: Redis is held for a moment, so that what the
 * node has sent is neither done nor answered, and goes on right after. Then Redis does what a node sent that may
 * not be there any more, which is the worst case.
 */
export async function whileBusy({ view }: Cluster, node: NodeView, act: () => void): Promise<number> {
  process.kill(view.redis.pid, 'SIGSTOP')
  try {
    const inFlight = await until(`purchases under way in ${node.id}`, () => inFlightOf(node))
    act()
    return inFlight
  } finally {
    process.kill(view.redis.pid, 'SIGCONT')
  }
}

/** What many ask of a server one by one, a few at a time. */
export async function forEach<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  concurrency = 64,
): Promise<void> {
  let next = 0
  const serve = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  await Promise.all(Array.from({ length: concurrency }, serve))
}
