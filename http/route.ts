/** A route as data: what it needs from a request is known before one comes. */
import type { Exchange } from './exchange.ts'
import type { ProblemCode } from './problems.ts'

export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'del'
  /** As uWebSockets knows it: `/api/sales/:sale`. */
  readonly pattern: string
  /** Lower-case names of the request headers that the handler reads by position. */
  readonly headers: readonly string[]
  /** Names of the query parameters that the handler reads by position. */
  readonly query?: readonly string[]
  /** `bounded`: the handler runs when the whole body is there. `none`: at once; a body is thrown away. */
  readonly body: 'none' | 'bounded'
  /** Longest body in bytes. Default: the server's. */
  readonly maxBodyBytes?: number
  /** From the first byte of the request's headers being read to an answer by the wrapper. Default: the server's. */
  readonly deadlineMs?: number
  /** What is answered when the handler let the deadline pass. Default `busy`. */
  readonly lateCode?: ProblemCode
  /** Runs before the body is read; for headers that every answer must have. It does not answer. */
  begin?(exchange: Exchange): void
  /** Answers, now or later. What it throws or rejects with is answered `internal`. */
  handle(exchange: Exchange): void | Promise<void>
}

/** A route, or one of the server's own fallbacks, which stand for every method. */
export type Served = Omit<Route, 'method'> & { readonly method: Route['method'] | 'any' }
