/** What the scenarios ask of every rush: who wants what, which answers are in order, and that all promises were kept. */
import { expect } from 'vitest'
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
import type { Stock } from './checkers.ts'
import { freshKey } from './client.ts'
import type { History, Wish } from './client.ts'
import type { Cluster } from './cluster.ts'

export interface Buyer {
  readonly buyer: string
  readonly token: string
}

export function wishOf({ buyer, token }: Buyer, more: Partial<Wish> = {}): Wish {
  return { buyer, token, key: freshKey(), saleId: 'rush', fareId: 'seat', quantity: 1, ...more }
}

/** Answers that a sale which is open, and healthy, gives. */
export const HEALTHY = ['201', '200', '409 all_held', '409 limit_reached']
/** And what buyers hear, and repeat after, while things die. */
export const TROUBLED = [...HEALTHY, '503 busy', '503 outcome_unknown', '503 recovering']

export interface Expected {
  readonly stock: Stock
  readonly limit: number
  readonly answers: readonly string[]
}

/** All checkers at once, so that a failure shows everything that is wrong. Prints what was heard. */
export async function judge(cluster: Cluster, history: History, { stock, limit, answers }: Expected): Promise<void> {
  console.log(`heard ${JSON.stringify(tally(history))}`)
  expect([
    ...exactSale(history, stock),
    ...withinLimit(history, limit),
    ...oneOrderPerKey(history),
    ...noFalseScarcity(history),
    ...onlyAnswers(history, answers),
    ...allEnded(history),
    ...auditAgrees(history, await cluster.audit()),
  ]).toEqual([])
}
