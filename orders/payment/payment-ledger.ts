/**
 * The books of money, in the ledger's database: payments, the providers' events, charges, refunds, anomalies.
 *
 * An event, the fate of its order and the fate of its money are one transaction, so after a crash at any point either
 * all of it happened or none, and the provider, which got no answer, tells the event again. Every change of a
 * payment's money locks the payment's row first: events of one payment are judged one after the other, and whatever
 * order they come in, each charge ends kept for one paid order or given back (`charge.ts`, `agreement.ts`).
 *
 * Methods reject with `DatabaseError`.
 */
import type { OrderState, ReleaseReason } from '../../stock/core/words.ts'
import type { Database, Transaction } from '../ledger/database.ts'
import type { Decision, DecisionResult, LedgerOrder } from '../ledger/ledger.ts'
import type { OrderMoney } from './agreement.ts'
import {
  fateOfMoney,
  fateOfRetake,
  type ChargeFate,
  type ChargeState,
  type LatePayment,
  type RefundReason,
} from './charge.ts'
import { readMoney } from './money-page.ts'
import type { PaymentEvent, RefundRequest } from './provider.ts'

/** What the ledger of orders gives to a transaction that also changes money. */
export interface FatesWithin {
  /** As `Ledger.decide`, inside a transaction that somebody else opened. */
  decideWithin(
    transaction: Transaction,
    decisions: readonly Decision[],
    storeNowMs: number | null,
  ): Promise<readonly DecisionResult[]>
}

export interface Payment {
  readonly orderId: string
  readonly provider: string
  readonly reference: string
  readonly redirectUrl: string
  readonly amount: number
  readonly currency: string
}

/** What an event did: the fate of its charge, or `nothing`. */
export type EventEffect = ChargeState | 'nothing'

export type EventResult =
  | { readonly outcome: 'applied'; readonly effect: EventEffect; readonly changed: readonly LedgerOrder[] }
  /** Applied before; nothing was changed now. */
  | { readonly outcome: 'replayed' }
  /** Changed nothing; an anomaly was noted. */
  | { readonly outcome: 'no_such_payment' | 'wrong_amount'; readonly detail: string }

export interface JudgeContext {
  readonly nowMs: number
  /** The store's clock for a sale, as last heard. */
  readonly storeNowMs: (saleId: string) => number | null
  readonly latePayment: LatePayment
}

export type RefundOrderResult =
  | { readonly outcome: 'refunding' | 'already'; readonly order: LedgerOrder }
  /** `no_charge`: paid, and no money is known to be kept for it. */
  | { readonly outcome: 'not_paid' | 'no_charge' | 'no_such_order' }

export interface DueRefund extends RefundRequest {
  readonly provider: string
  readonly orderId: string
  /** This one included. */
  readonly tries: number
}

export interface DueRetake {
  readonly provider: string
  readonly chargeId: string
  readonly orderId: string
  readonly saleId: string
  readonly fareId: string
  readonly buyer: string
  readonly quantity: number
  readonly tries: number
}

export type AnomalyKind =
  | 'bad_signature'
  | 'stale_timestamp'
  | 'malformed'
  | 'no_such_payment'
  | 'wrong_amount'
  | 'event_changed'
  | 'refund_refused'
  | 'refund_overdue'
  | 'paid_without_charge'

export interface Anomaly {
  /** Reports under one id are one anomaly, counted. */
  readonly id: string
  readonly kind: AnomalyKind
  readonly provider: string
  readonly reference: string | null
  readonly detail: string
}

export interface NotedAnomaly extends Anomaly {
  readonly times: number
  readonly firstMs: number
  readonly lastMs: number
}

const RETRY_FIRST_MS = 1000
const RETRY_MAX_MS = 600_000

interface PaymentRow {
  readonly order_id: string
  readonly provider: string
  readonly reference: string
  readonly redirect_url: string
  readonly amount: number
  readonly currency: string
}

interface LockedPayment extends PaymentRow {
  readonly sale_id: string
}

interface ChargeRow {
  readonly order_id: string
  readonly state: ChargeState
  readonly kept_for: string | null
  readonly is_taken: boolean
}

export class PaymentLedger {
  readonly #database: Database
  readonly #fates: FatesWithin

  constructor(database: Database, fates: FatesWithin) {
    this.#database = database
    this.#fates = fates
  }

  async payment(orderId: string): Promise<Payment | null> {
    const [row] = await this.#database.query<PaymentRow>('select * from payments where order_id = $1', [orderId])
    return row === undefined ? null : paymentOf(row)
  }

  /** Writes a payment down, once per order; returns the one that is there. */
  async record(payment: Payment, nowMs: number): Promise<Payment> {
    const { orderId, provider, reference, redirectUrl, amount, currency } = payment
    await this.#database.query(
      `insert into payments (order_id, provider, reference, redirect_url, amount, currency, created_ms)
       values ($1, $2, $3, $4, $5, $6, $7) on conflict (order_id) do nothing`,
      [orderId, provider, reference, redirectUrl, amount, currency, nowMs],
    )
    return (await this.payment(orderId)) ?? payment
  }

  /** Judges an event and carries out what follows, in one transaction. */
  async hear(provider: string, event: PaymentEvent, context: JudgeContext): Promise<EventResult> {
    return this.#database.transaction(async (transaction) => {
      const payment = await lockPayment(transaction, provider, event.reference)
      const charge = payment && (await readCharge(transaction, provider, event.chargeId))
      if (!payment || (charge && charge.order_id !== payment.order_id)) {
        const detail = payment ? `its charge ${event.chargeId} is of another payment` : 'no payment has this reference'
        await noteAnomaly(transaction, anomalyOf('no_such_payment', provider, event, detail), context.nowMs)
        return { outcome: 'no_such_payment', detail }
      }
      if (event.amount !== payment.amount || event.currency !== payment.currency) {
        const detail = `${payment.amount} ${payment.currency} are due, the event says ${event.amount} ${event.currency}`
        await noteAnomaly(transaction, anomalyOf('wrong_amount', provider, event, detail), context.nowMs)
        return { outcome: 'wrong_amount', detail }
      }
      if (!(await insertEvent(transaction, provider, payment.order_id, event, context.nowMs))) {
        return { outcome: 'replayed' }
      }
      const work = new MoneyWork(transaction, this.#fates, provider, payment, context)
      const effect = await work.judge(event, charge)
      await transaction.query('update payment_events set effect = $3 where provider = $1 and id = $2', [
        provider,
        event.id,
        effect,
      ])
      return { outcome: 'applied', effect, changed: work.changed }
    })
  }

  /** Takes a paid order back: its tickets return, its money goes back. `already` on repeat. */
  async refundOrder(orderId: string, context: JudgeContext): Promise<RefundOrderResult> {
    return this.#database.transaction(async (transaction) => {
      const kept = await lockKeptCharge(transaction, orderId)
      if (kept === null) return this.#withoutCharge(transaction, orderId, context)
      const work = new MoneyWork(transaction, this.#fates, kept.payment.provider, kept.payment, context)
      const order = await work.giveBack(orderId)
      if (order === null) return { outcome: 'not_paid' }
      await work.setCharge(kept.chargeId, { state: 'refunding', reason: 'operator' })
      return { outcome: 'refunding', order }
    })
  }

  async #withoutCharge(
    transaction: Transaction,
    orderId: string,
    { storeNowMs, nowMs }: JudgeContext,
  ): Promise<RefundOrderResult> {
    const [row] = await transaction.query<{ sale_id: string; state: OrderState; reason: ReleaseReason | null }>(
      'select sale_id, state, reason from orders where id = $1',
      [orderId],
    )
    if (row === undefined) return { outcome: 'no_such_order' }
    if (row.state === 'paid') {
      const detail = 'it is paid, and no charge is kept for it'
      const anomaly = { id: `paid_without_charge ${orderId}`, kind: 'paid_without_charge', provider: '' } as const
      await noteAnomaly(transaction, { ...anomaly, reference: orderId, detail }, nowMs)
      return { outcome: 'no_charge' }
    }
    if (row.reason !== 'refunded') return { outcome: 'not_paid' }
    // Asked in its own words, the ledger answers with the order.
    const [result] = await this.#fates.decideWithin(
      transaction,
      [{ orderId, fate: { state: 'released', reason: 'refunded' } }],
      storeNowMs(row.sale_id),
    )
    return result?.order ? { outcome: 'already', order: result.order } : { outcome: 'no_such_order' }
  }

  /** Claims refunds whose turn it is: nobody else is given them until their next try is due. */
  async claimRefunds(nowMs: number, limit: number): Promise<readonly DueRefund[]> {
    const rows = await this.#database.query<{
      id: string
      provider: string
      charge_id: string
      order_id: string
      reference: string
      amount: number
      currency: string
      tries: number
    }>(
      `update refunds r set tries = r.tries + 1, next_try_ms = $1::bigint + ${backoff('r.tries')}
       from payments p
       where p.order_id = r.order_id and r.id in (
         select id from refunds where state <> 'done' and next_try_ms <= $1
         order by next_try_ms limit $2 for update skip locked
       )
       returning r.id, r.provider, r.charge_id, r.order_id, p.reference, r.amount, r.currency, r.tries`,
      [nowMs, limit],
    )
    return rows.map((row) => ({
      refundId: row.id,
      provider: row.provider,
      chargeId: row.charge_id,
      orderId: row.order_id,
      reference: row.reference,
      amount: row.amount,
      currency: row.currency,
      tries: row.tries,
    }))
  }

  /** The provider gave the money back. */
  async refundDone({ provider, chargeId, orderId }: DueRefund, nowMs: number): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await lockPaymentOfOrder(transaction, orderId)
      await closeRefund(transaction, provider, chargeId, nowMs)
      await transaction.query(
        `update charges set state = 'refunded', changed_ms = $3 where provider = $1 and id = $2 and state = 'refunding'`,
        [provider, chargeId, nowMs],
      )
    })
  }

  /** It has not; `accepted`: an event is to tell. */
  async refundPending({ refundId }: DueRefund, isAccepted: boolean, error: string | null): Promise<void> {
    await this.#database.query(
      `update refunds set state = case when $2 then 'accepted' else state end, last_error = $3
       where id = $1 and state <> 'done'`,
      [refundId, isAccepted, error],
    )
  }

  /** Claims late money whose new order is to be tried. */
  async claimRetakes(nowMs: number, limit: number): Promise<readonly DueRetake[]> {
    const rows = await this.#database.query<{
      provider: string
      id: string
      order_id: string
      sale_id: string
      fare_id: string
      buyer: string
      quantity: number
      tries: number
    }>(
      `update charges c set tries = c.tries + 1, next_try_ms = $1::bigint + ${backoff('c.tries')}
       from orders o
       where o.id = c.order_id and (c.provider, c.id) in (
         select provider, id from charges where state = 'retaking' and next_try_ms <= $1
         order by next_try_ms limit $2 for update skip locked
       )
       returning c.provider, c.id, c.order_id, o.sale_id, o.fare_id, o.buyer, o.quantity, c.tries`,
      [nowMs, limit],
    )
    return rows.map((row) => ({
      provider: row.provider,
      chargeId: row.id,
      orderId: row.order_id,
      saleId: row.sale_id,
      fareId: row.fare_id,
      buyer: row.buyer,
      quantity: row.quantity,
      tries: row.tries,
    }))
  }

  /**
   * Ends a retake. With the new order in the ledger, the charge pays it if it can be paid; with null, or when it
   * cannot, the money goes back.
   */
  async finishRetake(
    { provider, chargeId, orderId }: DueRetake,
    newOrderId: string | null,
    context: JudgeContext,
  ): Promise<readonly LedgerOrder[]> {
    return this.#database.transaction(async (transaction) => {
      const payment = await lockPaymentOfOrder(transaction, orderId)
      const charge = await readCharge(transaction, provider, chargeId)
      const work = new MoneyWork(transaction, this.#fates, provider, payment, context)
      // Meanwhile the provider may have given it back by itself: then the new order is paid by nothing.
      if (charge?.state !== 'retaking') {
        if (newOrderId !== null && charge?.kept_for !== newOrderId) await work.release(newOrderId)
      } else {
        const fate = newOrderId === null ? fateOfRetake({ outcome: 'refused' }) : await work.payWith(newOrderId)
        await work.setCharge(chargeId, fate, newOrderId)
      }
      return work.changed
    })
  }

  async note(anomaly: Anomaly, nowMs: number, times = 1): Promise<void> {
    await noteAnomaly(this.#database, anomaly, nowMs, times)
  }

  /** The alarm list, newest first. */
  async anomalies(limit: number): Promise<readonly NotedAnomaly[]> {
    const rows = await this.#database.query<{
      id: string
      kind: AnomalyKind
      provider: string
      reference: string | null
      detail: string
      times: number
      first_ms: number
      last_ms: number
    }>('select * from payment_anomalies order by last_ms desc, id limit $1', [limit])
    return rows.map(({ first_ms, last_ms, ...row }) => ({ ...row, firstMs: first_ms, lastMs: last_ms }))
  }

  /** Orders of a sale that money has to do with, by id; for the law in `agreement.ts`. */
  async money(saleId: string, after: string | null, limit: number): Promise<readonly OrderMoney[]> {
    return readMoney(this.#database, saleId, after, limit)
  }
}

/** One transaction's work on the money of one payment. */
class MoneyWork {
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
    const [result] = await this.#fates.decideWithin(this.#transaction, [decision], storeNowMs)
    if (result === undefined) throw new Error(`the ledger did not answer about order ${decision.orderId}`)
    if (result.outcome === 'decided' && result.order !== null) this.changed.push(result.order)
    return result
  }
}

/** 1, 2, 4, … seconds after tries of 0, 1, 2, …, at most ten minutes. */
function backoff(tries: string): string {
  return `least(${RETRY_MAX_MS}, ${RETRY_FIRST_MS} * (1 << least(${tries}, 20)))`
}

const LOCKED = `select p.*, o.sale_id from payments p join orders o on o.id = p.order_id`

async function lockPayment(
  transaction: Transaction,
  provider: string,
  reference: string,
): Promise<LockedPayment | null> {
  const [row] = await transaction.query<LockedPayment>(
    `${LOCKED} where p.provider = $1 and p.reference = $2 for update of p`,
    [provider, reference],
  )
  return row ?? null
}

async function lockPaymentOfOrder(transaction: Transaction, orderId: string): Promise<LockedPayment> {
  const [row] = await transaction.query<LockedPayment>(`${LOCKED} where p.order_id = $1 for update of p`, [orderId])
  if (row === undefined) throw new Error(`order ${orderId} has a charge and no payment`)
  return row
}

/** The charge that pays an order, under its payment's lock. */
async function lockKeptCharge(
  transaction: Transaction,
  orderId: string,
): Promise<{ readonly chargeId: string; readonly payment: LockedPayment } | null> {
  const find = async (): Promise<{ id: string; order_id: string } | undefined> => {
    const [row] = await transaction.query<{ id: string; order_id: string }>(
      'select id, order_id from charges where kept_for = $1',
      [orderId],
    )
    return row
  }
  const found = await find()
  if (found === undefined) return null
  const payment = await lockPaymentOfOrder(transaction, found.order_id)
  // Between the look and the lock it may have been given back.
  const now = await find()
  return now === undefined ? null : { chargeId: now.id, payment }
}

async function readCharge(transaction: Transaction, provider: string, chargeId: string): Promise<ChargeRow | null> {
  const [row] = await transaction.query<ChargeRow>(
    'select order_id, state, kept_for, is_taken from charges where provider = $1 and id = $2',
    [provider, chargeId],
  )
  return row ?? null
}

/** False when it was inserted before; one that then told something else is noted. */
async function insertEvent(
  transaction: Transaction,
  provider: string,
  orderId: string,
  event: PaymentEvent,
  nowMs: number,
): Promise<boolean> {
  const { id, kind, chargeId, amount, currency, occurredAtMs } = event
  const inserted = await transaction.query(
    `insert into payment_events
       (provider, id, order_id, kind, charge_id, amount, currency, occurred_ms, received_ms, effect)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '') on conflict (provider, id) do nothing returning id`,
    [provider, id, orderId, kind, chargeId, amount, currency, occurredAtMs, nowMs],
  )
  if (inserted.length > 0) return true
  const same = await transaction.query(
    `select id from payment_events where provider = $1 and id = $2 and order_id = $3 and kind = $4 and charge_id = $5`,
    [provider, id, orderId, kind, chargeId],
  )
  if (same.length === 0) {
    const detail = `event ${id} now says ${kind} of charge ${chargeId}, and said something else before`
    await noteAnomaly(transaction, anomalyOf('event_changed', provider, event, detail), nowMs)
  }
  return false
}

async function closeRefund(transaction: Transaction, provider: string, chargeId: string, nowMs: number): Promise<void> {
  await transaction.query(
    `update refunds set state = 'done', done_ms = $3, last_error = null
     where provider = $1 and charge_id = $2 and state <> 'done'`,
    [provider, chargeId, nowMs],
  )
}

async function noteAnomaly(query: Transaction, anomaly: Anomaly, nowMs: number, times = 1): Promise<void> {
  const { id, kind, provider, reference, detail } = anomaly
  await query.query(
    `insert into payment_anomalies as a (id, kind, provider, reference, detail, times, first_ms, last_ms)
     values ($1, $2, $3, $4, $5, $6, $7, $7)
     on conflict (id) do update set times = a.times + excluded.times, last_ms = excluded.last_ms, detail = excluded.detail`,
    [id, kind, provider, reference, detail, times, nowMs],
  )
}

/** The same event told again is the same anomaly. */
function anomalyOf(kind: AnomalyKind, provider: string, event: PaymentEvent, detail: string): Anomaly {
  return { id: `${kind} ${provider} ${event.id}`, kind, provider, reference: event.reference, detail }
}

function paymentOf(row: PaymentRow): Payment {
  const { order_id, provider, reference, redirect_url, amount, currency } = row
  return { orderId: order_id, provider, reference, redirectUrl: redirect_url, amount, currency }
}
