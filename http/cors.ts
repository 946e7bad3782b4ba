/** Which other origins may read our answers, as ready header text. */
const EXPOSED = 'Retry-After, X-Request-Id, Idempotency-Key, Idempotency-Replayed'
const METHODS = 'GET, POST, DELETE'
const HEADERS = 'Authorization, Content-Type, Idempotency-Key, X-Request-Id'
const ONE_DAY_SECONDS = 86_400

export class Cors {
  readonly #origins: ReadonlySet<string>
  readonly #all: boolean

  constructor(allowedOrigins: readonly string[]) {
    this.#origins = new Set(allowedOrigins)
    this.#all = this.#origins.has('*')
  }

  isAllowed(origin: string): boolean {
    return origin !== '' && (this.#all || this.#origins.has(origin))
  }

  /** Lines to add to an answer. `Vary` is there for other origins too: a cache must not mix them up. */
  headersFor(origin: string): string {
    if (!this.isAllowed(origin)) return '\r\nVary: Origin'
    return `\r\nVary: Origin\r\nAccess-Control-Allow-Origin: ${origin}\r\nAccess-Control-Expose-Headers: ${EXPOSED}`
  }

  /** What the answer to a preflight has besides, as name, value, name, value, … */
  preflightHeaders(origin: string): readonly string[] {
    if (!this.isAllowed(origin)) return []
    return [
      'Access-Control-Allow-Methods',
      METHODS,
      'Access-Control-Allow-Headers',
      HEADERS,
      'Access-Control-Max-Age',
      String(ONE_DAY_SECONDS),
    ]
  }
}
