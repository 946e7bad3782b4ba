/** Tells the sandbox's events to our own webhook, over HTTP like anybody, until it is believed or has tried enough. */
import type { Clock } from '../../../runtime/clock.ts'
import type { Logger } from '../../../runtime/logger.ts'
import { SIGNATURE_HEADER, signWebhook } from '../webhook-signature.ts'
import type { Delivery, SandboxBooks } from './sandbox-books.ts'

export interface SandboxSenderParts {
  readonly books: Pick<SandboxBooks, 'claim' | 'answered'>
  readonly secret: string
  /** Known once our own port is open. */
  readonly webhookUrl: () => string
  readonly clock: Clock
  readonly logger: Logger
}

const BATCH = 50
const ANSWER_MS = 5000
const NOT_THE_SECRET = 'what somebody guesses who does not know the secret'

export class SandboxSender {
  readonly #parts: SandboxSenderParts

  constructor(parts: SandboxSenderParts) {
    this.#parts = parts
  }

  /** One round: everything due, events of one payment one after the other. Rejects when the books are away. */
  async work(): Promise<void> {
    const due = await this.#parts.books.claim(BATCH)
    const byPayment = groupByReference(due)
    await Promise.all([...byPayment.values()].map((deliveries) => this.#sendAll(deliveries)))
  }

  async #sendAll(deliveries: readonly Delivery[]): Promise<void> {
    for (const delivery of deliveries) await this.#send(delivery)
  }

  async #send(delivery: Delivery): Promise<void> {
    const { books, logger } = this.#parts
    const { status, text } = await this.#post(delivery)
    const isTrouble = status === 0 || status === 429 || status >= 500
    const verdict = status >= 200 && status < 300 ? 'done' : isTrouble ? 'retry' : 'refused'
    const state = await books.answered(delivery, verdict, `${status} ${text}`.slice(0, 500))
    if (state === 'done') return
    const line = { deliveryId: delivery.id, reference: delivery.reference, tries: delivery.tries, status, state }
    logger.warn(line, 'the sandbox was not believed or not heard')
  }

  /** Status 0: no answer. */
  async #post({ body, isForged }: Delivery): Promise<{ readonly status: number; readonly text: string }> {
    const { secret, webhookUrl, clock } = this.#parts
    const signature = signWebhook(isForged ? NOT_THE_SECRET : secret, body, clock.nowMs())
    try {
      const response = await fetch(webhookUrl(), {
        method: 'POST',
        headers: { 'content-type': 'application/json', [SIGNATURE_HEADER]: signature },
        body,
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      return { status: response.status, text: await response.text() }
    } catch (error) {
      return { status: 0, text: error instanceof Error ? error.message : String(error) }
    }
  }
}

function groupByReference(deliveries: readonly Delivery[]): Map<string, Delivery[]> {
  const groups = new Map<string, Delivery[]>()
  for (const delivery of deliveries)
    groups.set(delivery.reference, [...(groups.get(delivery.reference) ?? []), delivery])
  return groups
}
