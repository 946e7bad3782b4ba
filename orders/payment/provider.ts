/**
 * The payment port: all that is asked of a payment provider. The sandbox is one; a real provider is an adapter of
 * about this size (docs/payment-providers.md says how one is written and what is checked where).
 *
 * A provider is another company on the other end of an unreliable line, so the port assumes little of it: events come
 * late, twice, out of order, or not for hours; a call may have been carried out although its answer was lost. Every
 * call therefore carries a name chosen by us under which the provider must answer a repeat as it did the first time.
 */

/** What a buyer is to pay. */
export interface PaymentRequest {
  /** Our name for this payment, one per order; every event of the provider carries it back. */
  readonly reference: string
  readonly orderId: string
  /** Whole minor units. */
  readonly amount: number
  /** ISO 4217 code. */
  readonly currency: string
  /** For the buyer's eyes: name of the sale and of the fare. */
  readonly saleName: string
  readonly fareName: string
  readonly quantity: number
  /** Until then the tickets are held; a provider that can should not take money later. */
  readonly holdExpiresAtMs: number
}

export interface CreatedPayment {
  /** Where the buyer pays: an absolute URL, or a path on our own host. */
  readonly redirectUrl: string
}

/**
 * - `paid`: money was taken, as one charge
 * - `failed`: an attempt took no money; the buyer may try again
 * - `refunded`: a charge was given back in full, because we asked or because somebody decided so at the provider
 */
export type PaymentEventKind = 'paid' | 'failed' | 'refunded'

export interface PaymentEvent {
  /** Unique within the provider; the same when the event is sent again. */
  readonly id: string
  readonly kind: PaymentEventKind
  readonly reference: string
  /** One taking of money; a charge and its refund carry the same. Of a failed attempt: the attempt's own. */
  readonly chargeId: string
  /** Whole minor units: taken, asked for, or given back. */
  readonly amount: number
  readonly currency: string
  readonly occurredAtMs: number
}

/** Why a webhook is not believed. None of them changes anything. */
export type WebhookRefusal =
  /** Not signed with the secret that we share with the provider, or not over this very body. */
  | 'bad_signature'
  /** Signed, but longer ago (or further ahead) than the window: perhaps recorded and played again. */
  | 'stale_timestamp'
  /** Signed, but not in the form that the provider documents. */
  | 'malformed'

export type WebhookVerdict =
  | { readonly outcome: 'event'; readonly event: PaymentEvent }
  /** Genuine, and about something that does not concern us. */
  | { readonly outcome: 'ignored' }
  | { readonly outcome: 'refused'; readonly why: WebhookRefusal; readonly detail: string }

export interface RefundRequest {
  /** Our name for this refund: asked again under the same name, the money is given back once. */
  readonly refundId: string
  readonly chargeId: string
  readonly reference: string
  readonly amount: number
  readonly currency: string
}

export type RefundAnswer =
  /** The money is on its way back for certain. */
  | { readonly outcome: 'done' }
  /** Taken on; a `refunded` event will tell. */
  | { readonly outcome: 'accepted' }
  /** The provider says no. Asked again later all the same, with an alarm for the operator. */
  | { readonly outcome: 'refused'; readonly why: string }

export interface PaymentProvider {
  /** Last part of its webhook's path: `/api/payments/webhook/{name}`. */
  readonly name: string
  /** Lower-case names of the headers that {@link readWebhook} looks at. */
  readonly webhookHeaders: readonly string[]
  /** Asked again with the same reference it answers the same payment. Rejects when the provider cannot be asked. */
  create(request: PaymentRequest): Promise<CreatedPayment>
  /**
   * Checks and reads a webhook. `headers` as named by {@link webhookHeaders}, empty text where absent. Signatures are
   * compared in constant time, over the bytes as they came.
   */
  readWebhook(rawBody: Buffer, headers: readonly string[], nowMs: number): WebhookVerdict
  /** Gives a charge back in full. Rejects when the provider cannot be asked, or its answer was lost. */
  refund(request: RefundRequest): Promise<RefundAnswer>
}
