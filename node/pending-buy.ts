/** One buy call from admission to answer. */
import { type DeadlineQueue, type Timed } from '../http/deadlines.ts'
import type { ConfirmVerdict } from '../stock/port.ts'
import type { OrderIds } from '../stock/order-id.ts'
import type { Refusal, Wish } from './quota/sale-quota.ts'

export type BuyAnswer =
  /** The store judged it, at `nowMs` of its clock. */
  | { readonly by: 'store'; readonly verdict: ConfirmVerdict; readonly nowMs: number }
  /** A "no" from memory. */
  | { readonly by: 'memory'; readonly refusal: Refusal }
  | { readonly by: 'trouble'; readonly code: 'busy' | 'recovering' | 'outcome_unknown' }

export interface AskedBuy extends Pick<Wish, 'buyer' | 'fareId' | 'quantity' | 'mayRepeat'> {
  readonly saleId: string
  readonly key: string
  readonly orderIds: OrderIds
}

export class PendingBuy implements Wish, Timed {
  readonly buyer: string
  readonly fareId: string
  readonly quantity: number
  readonly mayRepeat: boolean
  readonly arrivedMs: number
  deducted = 0
  asks = false
  /** It was sent and no reply said what became of it: only "unknown" may be answered, or a verdict. */
  isUncertain = false
  /** It is in a batch whose reply has not come. */
  isOut = false
  isAnswered = false

  dueMs = 0
  previous: Timed | null = null
  next: Timed | null = null
  queue: DeadlineQueue | null = null
  /** Set by the desk that takes it. */
  onDue: ((buy: PendingBuy) => void) | null = null

  readonly #asked: AskedBuy
  readonly #respond: (answer: BuyAnswer) => void
  #orderId: string | null = null

  constructor(wish: AskedBuy, arrivedMs: number, respond: (answer: BuyAnswer) => void) {
    this.#asked = wish
    this.buyer = wish.buyer
    this.fareId = wish.fareId
    this.quantity = wish.quantity
    this.mayRepeat = wish.mayRepeat
    this.arrivedMs = arrivedMs
    this.#respond = respond
  }

  /** Reckoned when it is first needed: a refusal from memory needs none. */
  get orderId(): string {
    const { saleId, buyer, key, orderIds } = this.#asked
    return (this.#orderId ??= orderIds(saleId, buyer, key))
  }

  /** Answers once; later answers are dropped. */
  answer(answer: BuyAnswer): void {
    if (this.isAnswered) return
    this.isAnswered = true
    this.queue?.remove(this)
    this.#respond(answer)
  }

  expire(): void {
    this.onDue?.(this)
  }
}
