/** What the buyers themselves wrote down: what they asked, when, and what they were told. The checkers' evidence. */

/** One request. */
export interface Attempt {
  readonly invokedMs: number
  /** Infinity while no answer came. */
  completedMs: number
  /** 0 for no answer. */
  status: number
  code: string | null
  orderId: string | null
  /** Which node it was sent to, when not through the edge. */
  readonly at: string | null
}

/** All that one buyer did with one key. */
export interface Purchase {
  readonly buyer: string
  readonly key: string
  readonly fareId: string
  readonly quantity: number
  /** A request that surely cannot have been made before. */
  readonly mayRepeat: boolean
  readonly attempts: Attempt[]
  readonly acts: Act[]
}

/** What a buyer asked of an order that is theirs. */
export interface Act {
  readonly kind: 'pay' | 'cancel'
  readonly orderId: string
  readonly invokedMs: number
  completedMs: number
  /** `ok`: it is so; `fail`: it is not and will not be; `unknown`: no answer. */
  outcome: 'ok' | 'fail' | 'unknown'
}

export type History = readonly Purchase[]

export function isOk({ status }: Attempt): boolean {
  return status === 200 || status === 201
}

/** Neither an order nor a refusal: the same request may be sent again. */
export function isUnknown({ status }: Attempt): boolean {
  return status === 0 || status >= 500
}

/** The order that a purchase was told of, and when first; null when it never was. */
export function acknowledged(purchase: Purchase): { readonly orderId: string; readonly atMs: number } | null {
  let first: { orderId: string; atMs: number } | null = null
  for (const attempt of purchase.attempts) {
    if (attempt.orderId === null || (first !== null && first.atMs <= attempt.completedMs)) continue
    first = { orderId: attempt.orderId, atMs: attempt.completedMs }
  }
  return first
}
