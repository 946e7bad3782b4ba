/** `POST /api/demo/session`: a buyer for the asking. Only there with `demo.signIn: true`. */
import type { Route } from '../../http/route.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Random } from '../../runtime/random.ts'

export interface DemoSessionParts {
  /** Makes a token. */
  readonly sign: (buyer: string, expiresAtMs: number) => string
  readonly clock: Clock
  readonly random: Random
}

const VALID_MS = 12 * 3_600_000

/** The buyer's name is made here: whoever could choose one could be anybody. */
export function demoSessionRoute({ sign, clock, random }: DemoSessionParts): Route {
  return {
    method: 'post',
    pattern: '/api/demo/session',
    headers: [],
    body: 'bounded',
    handle(exchange) {
      const buyer = `demo-${random.hex(8)}`
      exchange.send(200, null, JSON.stringify({ token: sign(buyer, clock.nowMs() + VALID_MS), buyer }))
    },
  }
}
