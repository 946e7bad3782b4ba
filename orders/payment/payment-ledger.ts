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
import type { LedgerOrder } from '../ledger/ledger.ts'
import type { OrderMoney } from './agreement.ts'
import { type Anomaly, anomalyOf, noteAnomaly, type NotedAnomaly, readAnomalies } from './anomalies.ts'
import { fateOfRetake } from './charge.ts'
import { claimRefunds, claimRetakes, type DueRefund, type DueRetake } from './due-money.ts'
import { readMoney } from './money-page.ts'
import { type EventEffect, type FatesWithin, heardIn, type JudgeContext, MoneyWork } from './money-work.ts'
import {
  closeRefund,
  lockKeptCharge,
  lockPayment,
  lockPaymentOfOrder,
  lockPayments,
  type Payment,
  paymentOf,
  type PaymentRow,
  readCharge,
} from './payment-table.ts'
import type { PaymentEvent } from './provider.ts'

export type EventResult =
  | { readonly outcome: 'applied'; readonly effect: EventEffect; readonly changed: readonly LedgerOrder[] }
  /** Applied before; nothing was changed now. */
  | { readonly outcome: 'replayed' }
  /** Changed nothing; an anomaly was noted. */
  | { readonly outcome: 'no_such_payment' | 'wrong_amount'; readonly detail: string }

export interface HeardEvent {
  readonly event: PaymentEvent
  readonly context: JudgeContext
}

export type RefundOrderResult =
  | { readonly outcome: 'refunding' | 'already'; readonly order: LedgerOrder }
  /** `no_charge`: paid, and no money is known to be kept for it. */
  | { readonly outcome: 'not_paid' | 'no_charge' | 'no_such_order' }

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
    const isNew = await this.#database.query(
      `insert into payments (order_id, provider, reference, redirect_url, amount, currency, created_ms)
       values ($1, $2, $3, $4, $5, $6, $7) on conflict (order_id) do nothing returning order_id`,
      [orderId, provider, reference, redirectUrl, amount, currency, nowMs],
    )
    return isNew.length > 0 ? payment : ((await this.payment(orderId)) ?? payment)
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

  /**
   * Judges what is plain among events of different payments, in one transaction: new events of new charges that pay
   * their held orders in time. Null for all others, and for all when anything fails: those are to be judged one by one.
   */
  async hearPlain(provider: string, heard: readonly HeardEvent[]): Promise<readonly (EventResult | null)[]> {
    if (heard.length === 0) return []
    try {
      return await this.#database.transaction(async (transaction) => this.#keepPlain(transaction, provider, heard))
    } catch {
      // Whatever it was, it may be the fault of one of them; alone, each meets it anew if it is its own.
      return heard.map(() => null)
    }
  }

  async #keepPlain(
    transaction: Transaction,
    provider: string,
    heard: readonly HeardEvent[],
  ): Promise<readonly (EventResult | null)[]> {
    const references = heard.map(({ event }) => event.reference)
    const payments = await lockPayments(transaction, provider, references)
    const known = await selectKnown(transaction, provider, heard)
    const plain = heard.flatMap(({ event, context }) => {
      const payment = payments.get(event.reference)
      const isDue = payment?.amount === event.amount && payment.currency === event.currency
      return payment && isDue && event.kind === 'paid' && !known.has(event.id) ? [{ event, context, payment }] : []
    })
    if (plain.length === 0) return heard.map(() => null)
    const decisions = plain.map(({ context, payment }) =>
      heardIn(context, payment.sale_id, { orderId: payment.order_id, fate: { state: 'paid' } }),
    )
    const results = await this.#fates.decideWithin(transaction, decisions, null)
    const kept = plain.filter((_one, index) => results[index]?.outcome === 'decided')
    await insertKept(transaction, provider, kept)
    const orders = new Map(results.map(({ order }) => [order?.id, order]))
    const byEvent = new Map(kept.map(({ event, payment }) => [event, orders.get(payment.order_id)]))
    return heard.map(({ event }) => {
      const order = byEvent.get(event)
      return order ? { outcome: 'applied', effect: 'kept', changed: [order] } : null
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

  /** Refunds whose turn it is; see `due-money.ts`. */
  claimRefunds(nowMs: number, limit: number): Promise<readonly DueRefund[]> {
    return claimRefunds(this.#database, nowMs, limit)
  }

  /** Late money whose new order is to be tried. */
  claimRetakes(nowMs: number, limit: number): Promise<readonly DueRetake[]> {
    return claimRetakes(this.#database, nowMs, limit)
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
    return readAnomalies(this.#database, limit)
  }

  /** Orders of a sale that money has to do with, by id; for the law in `agreement.ts`. */
  async money(saleId: string, after: string | null, limit: number): Promise<readonly OrderMoney[]> {
    return readMoney(this.#database, saleId, after, limit)
  }
}

/** Which of the events, or their charges, were heard of before. */
async function selectKnown(
  transaction: Transaction,
  provider: string,
  heard: readonly HeardEvent[],
): Promise<ReadonlySet<string>> {
  const rows = await transaction.query<{ id: string }>(
    `select n.id from unnest($2::text[], $3::text[]) as n (id, charge_id)
     where exists (select from payment_events e where e.provider = $1 and e.id = n.id)
       or exists (select from charges c where c.provider = $1 and c.id = n.charge_id)`,
    [provider, heard.map(({ event }) => event.id), heard.map(({ event }) => event.chargeId)],
  )
  return new Set(rows.map(({ id }) => id))
}

/** The events of payments that were decided, and their charges, each kept for its order. */
async function insertKept(
  transaction: Transaction,
  provider: string,
  kept: readonly (HeardEvent & { readonly payment: { readonly order_id: string } })[],
): Promise<void> {
  if (kept.length === 0) return
  await transaction.query(
    `with n as materialized (
       select * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::bigint[])
         as n (id, order_id, charge_id, amount, currency, occurred_ms, received_ms)
     ), told as (
       insert into payment_events
         (provider, id, order_id, kind, charge_id, amount, currency, occurred_ms, received_ms, effect)
       select $1, id, order_id, 'paid', charge_id, amount, currency, occurred_ms, received_ms, 'kept' from n
     )
     insert into charges (provider, id, order_id, amount, currency, state, kept_for, is_taken, changed_ms)
     select $1, charge_id, order_id, amount, currency, 'kept', order_id, true, received_ms from n`,
    [
      provider,
      kept.map(({ event }) => event.id),
      kept.map(({ payment }) => payment.order_id),
      kept.map(({ event }) => event.chargeId),
      kept.map(({ event }) => event.amount),
      kept.map(({ event }) => event.currency),
      kept.map(({ event }) => event.occurredAtMs),
      kept.map(({ context }) => context.nowMs),
    ],
  )
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
