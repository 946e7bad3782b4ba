/**
 * The answers that nginx gives by itself, in the form that every process of Farebox uses for its errors (design,
 * section 5). A buyer must not have to know who refused.
 */

/** No path of Farebox begins like this: locations that only nginx itself goes to. */
export const INTERNAL_PREFIX = '/farebox-internal/'

export interface EdgeProblem {
  /**
   * Location in the rendered text. Named (`@…`) where the request was read; an internal path where its first line may
   * not have been, since nginx refuses a named one without a URI.
   */
  readonly location: string
  readonly status: number
  /** A fixed code, or an nginx variable that holds it. */
  readonly code: string
  readonly title: string
  readonly detail: string
  /** With `Retry-After` and `retryAfterMs`, spread over buckets. */
  readonly retry: boolean
  /** Whether the request's headers were read, so that its key can be given back. */
  readonly returnsKey: boolean
}

/** nginx's own status numbers, and the problem each becomes. 494, 495 … are internal to nginx. */
export interface EdgeRule {
  readonly caught: readonly number[]
  readonly problem: EdgeProblem
}

export const EDGE_RULES: readonly EdgeRule[] = [
  {
    caught: [400, 501, 505],
    problem: {
      location: `${INTERNAL_PREFIX}malformed`,
      status: 400,
      code: 'malformed',
      title: 'The request cannot be read',
      detail: 'The request is not well-formed HTTP.',
      retry: false,
      returnsKey: false,
    },
  },
  {
    caught: [403, 404],
    problem: {
      location: '@not_found',
      status: 404,
      code: 'not_found',
      title: 'No such path',
      detail: 'There is nothing at this address.',
      retry: false,
      returnsKey: true,
    },
  },
  {
    caught: [405],
    problem: {
      location: '@method_not_allowed',
      status: 405,
      code: 'method_not_allowed',
      title: 'This path does not have that method',
      detail: 'This address does not take this method.',
      retry: false,
      returnsKey: true,
    },
  },
  {
    caught: [413],
    problem: {
      location: '@too_large',
      status: 413,
      code: 'too_large',
      title: 'The request body is too large',
      detail: 'The body is larger than any call needs.',
      retry: false,
      returnsKey: true,
    },
  },
  {
    caught: [414, 494],
    problem: {
      location: `${INTERNAL_PREFIX}headers_too_large`,
      status: 431,
      code: 'headers_too_large',
      title: 'The request headers are too large',
      detail: 'The request line or a header is larger than any call needs.',
      retry: false,
      returnsKey: false,
    },
  },
  {
    caught: [500],
    problem: {
      location: '@internal',
      status: 500,
      code: 'internal',
      title: 'Something broke on our side; repeat with the same key',
      detail: 'Something went wrong here.',
      retry: false,
      returnsKey: true,
    },
  },
  {
    caught: [502, 503, 504],
    problem: {
      location: '@trouble',
      status: 503,
      code: '$farebox_trouble_code',
      title: '$farebox_trouble_title',
      detail: '$farebox_trouble_detail',
      retry: true,
      returnsKey: true,
    },
  },
]

/** A buy was perhaps carried out: "same key". Any other call was not, or may simply be repeated: "busy". */
export const TROUBLE = {
  buy: {
    code: 'outcome_unknown',
    title: 'The outcome is not known; repeat with the same key',
    detail: 'No answer came in time; the order may have been made. Repeat with the same Idempotency-Key.',
  },
  other: {
    code: 'busy',
    title: 'Too much to do right now; repeat with the same key',
    detail: 'No node could answer. Try again shortly.',
  },
} as const

export const RETRY_BASE_MS = 1000
/** Waiting times up to 30 % above the base, so that a crowd does not come back in one second. */
export const RETRY_BUCKETS_MS: readonly number[] = Array.from({ length: 16 }, (_, i) => RETRY_BASE_MS + i * 20)
