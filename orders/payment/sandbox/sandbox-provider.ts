/**
 * The sandbox as a provider: no money, but everything else that a provider does to us. Its books (`sandbox-books.ts`)
 * and its sender (`sandbox-sender.ts`) are the other company; this adapter is our side of the line, and what a real
 * provider's adapter looks like.
 */
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type {
  CreatedPayment,
  PaymentProvider,
  PaymentRequest,
  RefundAnswer,
  RefundRequest,
  WebhookVerdict,
} from '../provider.ts'
import { checkWebhookSignature, SIGNATURE_HEADER } from '../webhook-signature.ts'
import type { SandboxBooks } from './sandbox-books.ts'

export const SANDBOX = 'sandbox'

/** What the sandbox sends. */
export const SandboxEvent = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 128 }),
  type: Type.Union([Type.Literal('paid'), Type.Literal('failed'), Type.Literal('refunded')]),
  reference: Type.String({ minLength: 1, maxLength: 128 }),
  chargeId: Type.String({ minLength: 1, maxLength: 128 }),
  amount: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  currency: Type.String({ minLength: 1, maxLength: 16 }),
  /** Milliseconds since 1970. */
  occurredAtMs: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
})
export type SandboxEvent = Static<typeof SandboxEvent>

export interface SandboxProviderOptions {
  readonly secret: string
  /** How far the time in a signature may be from ours. */
  readonly windowMs: number
}

/** Where a payment's page lies, on our own host. */
export function sandboxPagePath(reference: string): string {
  return `/api/payments/sandbox/pay/${encodeURIComponent(reference)}`
}

export class SandboxProvider implements PaymentProvider {
  readonly name = SANDBOX
  readonly webhookHeaders = [SIGNATURE_HEADER]
  readonly #books: Pick<SandboxBooks, 'create' | 'refund'>
  readonly #options: SandboxProviderOptions

  constructor(books: Pick<SandboxBooks, 'create' | 'refund'>, options: SandboxProviderOptions) {
    this.#books = books
    this.#options = options
  }

  async create(request: PaymentRequest): Promise<CreatedPayment> {
    await this.#books.create(request)
    return { redirectUrl: sandboxPagePath(request.reference) }
  }

  readWebhook(rawBody: Buffer, headers: readonly string[], nowMs: number): WebhookVerdict {
    const { secret, windowMs } = this.#options
    const signature = checkWebhookSignature(secret, rawBody, headers[0] ?? '', nowMs, windowMs)
    if (signature === 'bad_signature') {
      return { outcome: 'refused', why: signature, detail: `${SIGNATURE_HEADER} does not sign this body` }
    }
    if (signature === 'stale_timestamp') {
      return { outcome: 'refused', why: signature, detail: `signed more than ${windowMs} ms away from now` }
    }
    const event = parseEvent(rawBody)
    if (event === null) return { outcome: 'refused', why: 'malformed', detail: 'not an event of the sandbox' }
    const { type, ...rest } = event
    return { outcome: 'event', event: { ...rest, kind: type } }
  }

  async refund(request: RefundRequest): Promise<RefundAnswer> {
    return this.#books.refund(request)
  }
}

function parseEvent(rawBody: Buffer): SandboxEvent | null {
  try {
    const value: unknown = JSON.parse(rawBody.toString('utf8'))
    return Value.Check(SandboxEvent, value) && isText(value) ? value : null
  } catch {
    return null
  }
}

/** SQL's text has no zero byte. */
function isText(event: SandboxEvent): boolean {
  return [event.id, event.reference, event.chargeId, event.currency].every((text) => !text.includes('\0'))
}
