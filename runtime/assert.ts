/**
 * Assertions stay on in production. There are two kinds, because they must end differently:
 *
 * - {@link assert}: one request is impossible. It answers 500, is counted, and the process goes on.
 * - {@link assertStock}: the books of a sale are impossible. Whoever owns the process stops it: a node that is gone
 *   strands no ticket, a node that goes on with wrong books may sell one twice.
 */

export class InvariantError extends Error {
  override readonly name: string = 'InvariantError'
}

/** A law about stock is broken. Never caught per request; `runtime/life-cycle.ts` ends the process on it. */
export class StockLawError extends InvariantError {
  override readonly name = 'StockLawError'
}

/** Throws {@link InvariantError} unless the condition holds. Pass a function where the message costs something. */
export function assert(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === 'string' ? message : message())
}

/** Throws {@link StockLawError} unless the condition holds. */
export function assertStock(condition: unknown, message: string | (() => string)): asserts condition {
  if (!condition) throw new StockLawError(typeof message === 'string' ? message : message())
}
