/**
 * What an event, an operator or a retake does to the money of one payment and to its order, within one transaction that
 * holds the payment's lock.
 */
import type { Transaction } from '../ledger/database.ts'
import type { Decision, DecisionResult, HeardDecision, LedgerOrder } from '../ledger/ledger.ts'
import {
  type ChargeFate,
  type ChargeState,
  fateOfMoney,
  fateOfRetake,
  type LatePayment,
  type RefundReason,
} from './charge.ts'
import { type ChargeRow, closeRefund, type LockedPayment } from './payment-table.ts'
import type { PaymentEvent } from './provider.ts'

/** What the ledger of orders gives to a transaction that also changes money. */
export interface FatesWithin {
  /** As `Ledger.decide`, inside a transaction that somebody else opened. */
  decideWithin(
    transaction: Transaction,
    decisions: readonly HeardDecision[],
    storeNowMs: number | null,
  ): Promise<readonly DecisionResult[]>
}

/** What an event did: the fate of its charge, or `nothing`. */
export type EventEffect = ChargeState | 'nothing'

export interface JudgeContext {
  readonly nowMs: number
  /** The store's clock for a sale, as last heard. */
  readonly storeNowMs: (saleId: string) => number | null
  readonly latePayment: LatePayment
  /** Since the event was received, whose clocks `storeNowMs` then tells. */
  readonly receivedAgoMs?: () => number
}

/** A decision as the context's event has it judged. */
export function heardIn(context: JudgeContext, saleId: string, decision: Decision): HeardDecision {
  const { receivedAgoMs: agoMs = () => 0 } = context
  return { ...decision, heard: { storeNowMs: context.storeNowMs(saleId), agoMs } }
}

/** One transaction's work on the money of one payment. */
export class MoneyWork {
  /** Orders whose fate was decided here: the store is to hear of them after the commit. */
  readonly changed: LedgerOrder[] = []
  readonly #transaction: Transaction
  readonly #fates: FatesWithin
  readonly #provider: string
  readonly #payment: LockedPayment
  readonly #context: JudgeContext

  constructor(
    transaction: Transaction,
    fates: FatesWithin,
    provider: string,
    payment: LockedPayment,
    context: JudgeContext,
  ) {
    this.#transaction = transaction
    this.#fates = fates
    this.#provider = provider
    this.#payment = payment
    this.#context = context
  }

  async judge(event: PaymentEvent, charge: ChargeRow | null): Promise<EventEffect> {
    if (event.kind === 'failed') return 'nothing'
    return event.kind === 'paid' ? this.#paid(event, charge) : this.#refunded(event, charge)
  }

  async #paid({ chargeId }: PaymentEvent, charge: ChargeRow | null): Promise<EventEffect> {
    if (charge !== null) {
      if (charge.is_taken) return 'nothing'
      await this.#paidAndRefunded(chargeId)
      return 'refunded'
    }
    const { order_id: orderId } = this.#payment
    const result = await this.#decide({ orderId, fate: { state: 'paid' } })
    if (result.outcome === 'no_such_order') throw new Error(`order ${orderId} has a payment and no row`)
    // Nobody has swept it yet, and its ticket should not wait for that.
    if (result.outcome === 'too_late') await this.#decide({ orderId, fate: { state: 'released', reason: 'expired' } })
    const fate = fateOfMoney(result, this.#context.latePayment)
    await this.#insertCharge(chargeId, fate)
    return fate.state
  }

  /** The refund came before the payment that it refunds: together they end as in the right order. */
  async #paidAndRefunded(chargeId: string): Promise<void> {
    const { order_id: orderId } = this.#payment
    const paid = await this.#decide({ orderId, fate: { state: 'paid' } })
    if (paid.outcome === 'decided') await this.giveBack(orderId)
    await this.#transaction.query(
      'update charges set is_taken = true, changed_ms = $3 where provider = $1 and id = $2',
      [this.#provider, chargeId, this.#context.nowMs],
    )
  }

  async #refunded({ chargeId }: PaymentEvent, charge: ChargeRow | null): Promise<EventEffect> {
    if (charge === null) {
      await this.#insertCharge(chargeId, { state: 'refunded' })
      return 'refunded'
    }
    if (charge.state === 'refunded') return 'nothing'
    if (charge.kept_for !== null) await this.giveBack(charge.kept_for)
    if (charge.state !== 'refunding') await this.#insertRefund(chargeId, 'provider')
    await closeRefund(this.#transaction, this.#provider, chargeId, this.#context.nowMs)
    await this.setCharge(chargeId, { state: 'refunded' })
    return 'refunded'
  }

  /** Decides a paid order as refunded; null when it was not paid. */
  async giveBack(orderId: string): Promise<LedgerOrder | null> {
    const { outcome, order } = await this.#decide({ orderId, fate: { state: 'released', reason: 'refunded' } })
    return outcome === 'decided' ? order : null
  }

  /** Pays the order of a retake; one whose hold has lapsed again is released. */
  async payWith(orderId: string): Promise<ChargeFate> {
    const result = await this.#decide({ orderId, fate: { state: 'paid' } })
    if (result.outcome === 'too_late') await this.#decide({ orderId, fate: { state: 'released', reason: 'expired' } })
    return fateOfRetake(result)
  }

  async release(orderId: string): Promise<void> {
    await this.#decide({ orderId, fate: { state: 'released', reason: 'cancelled' } })
  }

  async setCharge(
    chargeId: string,
    fate: ChargeFate | { readonly state: 'refunded' },
    keptFor: string | null = null,
  ): Promise<void> {
    await this.#transaction.query(
      'update charges set state = $3, kept_for = $4, changed_ms = $5 where provider = $1 and id = $2',
      [this.#provider, chargeId, fate.state, fate.state === 'kept' ? keptFor : null, this.#context.nowMs],
    )
    if (fate.state === 'refunding') await this.#insertRefund(chargeId, fate.reason)
  }

  async #insertCharge(chargeId: string, fate: ChargeFate | { readonly state: 'refunded' }): Promise<void> {
    const { order_id: orderId, amount, currency } = this.#payment
    const keptFor = fate.state === 'kept' ? orderId : null
    const isTaken = fate.state !== 'refunded'
    await this.#transaction.query(
      `insert into charges (provider, id, order_id, amount, currency, state, kept_for, is_taken, changed_ms)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [this.#provider, chargeId, orderId, amount, currency, fate.state, keptFor, isTaken, this.#context.nowMs],
    )
    if (fate.state === 'refunding') await this.#insertRefund(chargeId, fate.reason)
  }

  /** One per charge, and its name follows from the charge's: the provider hears the same name on every repeat. */
  async #insertRefund(chargeId: string, reason: RefundReason): Promise<void> {
    const { order_id: orderId, amount, currency } = this.#payment
    const { nowMs } = this.#context
    await this.#transaction.query(
      `insert into refunds (id, provider, charge_id, order_id, amount, currency, reason, state, next_try_ms, created_ms)
       values ($1, $2, $3, $4, $5, $6, $7, 'due', $8, $8)`,
      [`refund-${this.#provider}-${chargeId}`, this.#provider, chargeId, orderId, amount, currency, reason, nowMs],
    )
  }

  async #decide(decision: Decision): Promise<DecisionResult> {
    const { sale_id: saleId } = this.#payment
    const storeNowMs = this.#context.storeNowMs(saleId)
    const [result] = await this.#fates.decideWithin(
      this.#transaction,
      [heardIn(this.#context, saleId, decision)],
      storeNowMs,
    )
    if (result === undefined) throw new Error(`the ledger did not answer about order ${decision.orderId}`)
    if (result.outcome === 'decided' && result.order !== null) this.changed.push(result.order)
    return result
  }
}
