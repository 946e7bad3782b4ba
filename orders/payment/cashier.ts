/**
 * The cashier: what the routes, the operator and the clock ask of the money side, put together from its books
 * (`payment-ledger.ts`), the providers, and the ledger of orders.
 *
 * Nothing here is remembered: everything unfinished (refunds, retakes) stands in the books with the time of its next
 * try, and whichever process looks next goes on with it.
 */
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { SaleDefinition } from '../../stock/core/words.ts'
import type { Ledger, LedgerOrder } from '../ledger/ledger.ts'
import { type MoneyProblem, moneyProblems } from './agreement.ts'
import type { Anomaly, NotedAnomaly } from './anomalies.ts'
import type { LatePayment } from './charge.ts'
import { type DistrustCount, Distrust } from './distrust.ts'
import { EventQueue } from './event-queue.ts'
import type { PaymentMetrics } from './payment-metrics.ts'
import type { DueRefund, DueRetake } from './due-money.ts'
import type { JudgeContext } from './money-work.ts'
import type { EventResult, PaymentLedger, RefundOrderResult } from './payment-ledger.ts'
import type { PaymentProvider, RefundAnswer, WebhookRefusal } from './provider.ts'
import { type RetakeOrder, retakeOrderId } from './retake-order.ts'

export interface CashierParts {
  readonly ledger: Pick<Ledger, 'order' | 'sale' | 'ensure'>
  readonly books: PaymentLedger
  /** By name; the first is the one that new payments go to. */
  readonly providers: readonly PaymentProvider[]
  /** An order, its row made sure of where the ledger has not heard of it yet; `recovering`: ask again. */
  readonly findOrder: (orderId: string) => Promise<LedgerOrder | 'recovering' | null>
  /** The store's clock as last heard; null when it is not known. */
  readonly storeNowMs: () => number | null
  /** Tells the store fates that were just committed. What fails is left to the reconciler. */
  readonly settle: (orders: readonly LedgerOrder[]) => Promise<void>
  readonly retake: RetakeOrder
  readonly latePayment: LatePayment
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PaymentMetrics
}

export type StartedPayment =
  | { readonly outcome: 'started'; readonly redirectUrl: string }
  | { readonly outcome: 'no_such_order' | 'not_held' | 'recovering' }

export type WebhookResult =
  | EventResult
  | { readonly outcome: 'ignored' | 'no_such_provider' }
  | { readonly outcome: 'refused'; readonly why: WebhookRefusal; readonly detail: string }

const BATCH = 20
/** After so many tries the operator hears of a refund that does not go through; it is tried on all the same. */
const REFUND_ALARM_TRIES = 6
/** Then the money goes back: the buyer has waited for minutes. */
const RETAKE_TRIES_MAX = 12
/** An audit needs no more of them: it is red. */
const PROBLEMS_MAX = 1000
const AUDIT_PAGE = 500

export class Cashier {
  readonly #parts: CashierParts
  readonly #distrust: Distrust
  readonly #events: EventQueue
  /** They never change. */
  readonly #definitions = new Map<string, SaleDefinition>()

  constructor(parts: CashierParts) {
    this.#parts = parts
    this.#distrust = new Distrust()
    this.#events = new EventQueue(parts.books)
  }

  /** Where the buyer pays for a held order: the same place every time. */
  async startPayment(orderId: string, buyer: string): Promise<StartedPayment> {
    const { books, findOrder, providers, clock } = this.#parts
    const order = await findOrder(orderId)
    if (order === 'recovering') return { outcome: 'recovering' }
    if (order === null || order.buyer !== buyer) return { outcome: 'no_such_order' }
    if (order.state !== 'held' || this.#hasLapsed(order)) return { outcome: 'not_held' }
    const known = await books.payment(orderId)
    if (known !== null) return { outcome: 'started', redirectUrl: known.redirectUrl }
    const provider = providers[0]
    if (provider === undefined) throw new Error('no payment provider is configured')
    const reference = orderId
    const amount = order.unitPrice.amount * order.quantity
    const { currency } = order.unitPrice
    const created = await provider.create({
      reference,
      orderId,
      amount,
      currency,
      ...(await this.#namesOf(order)),
      quantity: order.quantity,
      holdExpiresAtMs: order.holdExpiresAtMs,
    })
    const payment = { orderId, provider: provider.name, reference, amount, currency, redirectUrl: created.redirectUrl }
    const { redirectUrl } = await books.record(payment, clock.nowMs())
    return { outcome: 'started', redirectUrl }
  }

  /**
   * Judges a webhook and carries out what it says, by the clocks as they are now, however long it has to wait: whoever
   * paid in time was in time. Rejects when the ledger is away: the provider shall repeat.
   */
  async hear(providerName: string, rawBody: Buffer, headers: readonly string[]): Promise<WebhookResult> {
    const { clock, metrics } = this.#parts
    const provider = this.provider(providerName)
    if (provider === null) return { outcome: 'no_such_provider' }
    const verdict = provider.readWebhook(rawBody, headers, clock.nowMs())
    if (verdict.outcome === 'ignored') return verdict
    if (verdict.outcome === 'refused') {
      this.#onDistrusted(provider.name, verdict)
      return verdict
    }
    const result = await this.#events.hear(provider.name, verdict.event, this.#contextOfReceipt())
    metrics.webhooks[result.outcome === 'applied' ? result.effect : result.outcome] += 1
    const { id: eventId, kind, reference, chargeId } = verdict.event
    const line = { provider: provider.name, eventId, kind, reference, chargeId, outcome: result.outcome }
    if (result.outcome === 'applied') {
      this.#parts.logger.info({ ...line, effect: result.effect }, 'payment event')
      await this.#settle(result.changed)
    } else if (result.outcome !== 'replayed') {
      this.#parts.logger.warn({ ...line, detail: result.detail }, 'payment event changed nothing')
    }
    return result
  }

  /** Resolves when all that was received until now is judged; a hold must not lapse before. Never rejects. */
  judged(): Promise<void> {
    return this.#events.judged()
  }

  /** The operator's refund: the tickets return, the money goes back. */
  async refund(orderId: string): Promise<RefundOrderResult> {
    const { books } = this.#parts
    const result = await books.refundOrder(orderId, this.#context())
    if (result.outcome === 'refunding') await this.#settle([result.order])
    return result
  }

  provider(name: string): PaymentProvider | null {
    return this.#parts.providers.find((provider) => provider.name === name) ?? null
  }

  async anomalies(limit: number): Promise<readonly NotedAnomaly[]> {
    return this.#parts.books.anomalies(limit)
  }

  /** Where money and stock do not agree in a sale. Each page is read at one instant, and right at every instant. */
  async problems(saleId: string): Promise<readonly MoneyProblem[]> {
    const { books, clock } = this.#parts
    const problems: MoneyProblem[] = []
    let after: string | null = null
    for (;;) {
      const page = await books.money(saleId, after, AUDIT_PAGE)
      for (const order of page) problems.push(...moneyProblems(order, clock.nowMs()))
      if (page.length < AUDIT_PAGE || problems.length >= PROBLEMS_MAX) return problems
      after = page.at(-1)?.orderId ?? null
    }
  }

  /** One round of what is unfinished. Rejects when the ledger is away; the next round goes on. */
  async work(): Promise<void> {
    await this.#noteDistrusted()
    const nowMs = this.#parts.clock.nowMs()
    for (const refund of await this.#parts.books.claimRefunds(nowMs, BATCH)) await this.#tryRefund(refund)
    for (const retake of await this.#parts.books.claimRetakes(nowMs, BATCH)) await this.#tryRetake(retake)
  }

  async #tryRefund(refund: DueRefund): Promise<void> {
    const { books, logger, clock, metrics } = this.#parts
    const { refundId, orderId, provider, tries } = refund
    const answer = await this.#askRefund(refund)
    if (answer.outcome === 'done') {
      await books.refundDone(refund, clock.nowMs())
      metrics.refunds.done += 1
      logger.info({ refundId, orderId, provider, tries }, 'refunded')
      return
    }
    const why = answer.outcome === 'accepted' ? null : answer.why
    await books.refundPending(refund, answer.outcome === 'accepted', why)
    if (why !== null) {
      metrics.refunds.failed += 1
      logger.warn({ refundId, orderId, provider, tries, why }, 'a refund was not carried out; it is tried again')
    }
    if (answer.outcome === 'refused') await this.#alarm('refund_refused', refund, answer.why)
    else if (tries >= REFUND_ALARM_TRIES) await this.#alarm('refund_overdue', refund, why ?? 'no event has come')
  }

  async #askRefund(refund: DueRefund): Promise<RefundAnswer | { readonly outcome: 'unknown'; readonly why: string }> {
    const provider = this.provider(refund.provider)
    if (provider === null) return { outcome: 'unknown', why: `provider ${refund.provider} is not configured` }
    try {
      return await provider.refund(refund)
    } catch (error) {
      return { outcome: 'unknown', why: error instanceof Error ? error.message : String(error) }
    }
  }

  async #alarm(kind: 'refund_refused' | 'refund_overdue', refund: DueRefund, why: string): Promise<void> {
    const { refundId, provider, reference, tries } = refund
    const detail = `refund ${refundId} after ${tries} tries: ${why}`
    await this.#note({ id: `${kind} ${refundId}`, kind, provider, reference, detail }, 1)
  }

  async #tryRetake(due: DueRetake): Promise<void> {
    const { books, logger } = this.#parts
    const { chargeId, orderId, saleId, tries } = due
    try {
      const bought = await this.#buyAgain(due)
      if (bought === 'again' && tries < RETAKE_TRIES_MAX) return
      const newOrderId = bought === 'again' || bought === 'refused' ? null : bought.orderId
      const changed = await books.finishRetake(due, newOrderId, this.#context())
      logger.info({ chargeId, orderId, newOrderId, saleId, tries }, 'late payment')
      await this.#settle(changed)
    } catch (error) {
      logger.warn({ chargeId, orderId, saleId, tries, err: error }, 'a late payment is tried again')
    }
  }

  async #buyAgain(due: DueRetake): Promise<'again' | 'refused' | { readonly orderId: string }> {
    const { ledger, retake } = this.#parts
    const { saleId, fareId, buyer, quantity, chargeId, orderId } = due
    const [sale, lapsed] = await Promise.all([ledger.sale(saleId), ledger.order(orderId)])
    if (sale === null || lapsed === null) return 'refused'
    // Its tickets still count towards the buyer's limit until the store has heard.
    if (!lapsed.isSettled) await this.#settle([lapsed])
    const newOrderId = retakeOrderId(sale.definition, buyer, chargeId)
    const wish = { definition: sale.definition, orderId: newOrderId, buyer, fareId, quantity, seen: sale.taken }
    const outcome = await retake(wish)
    if (outcome.outcome !== 'held') return outcome.outcome
    const ensured = await ledger.ensure(saleId, outcome.storeEra, [outcome.order])
    return ensured.outcome === 'ensured' ? { orderId: newOrderId } : 'again'
  }

  /** An unbelieved webhook costs a line and a number, at most; the books hear of it once a round. */
  #onDistrusted(provider: string, { why, detail }: { readonly why: WebhookRefusal; readonly detail: string }): void {
    const { logger, metrics, clock } = this.#parts
    metrics.webhooks[why] += 1
    const mayLog = this.#distrust.add(provider, why, detail, clock.monotonicMs())
    if (mayLog) logger.warn({ provider, why, detail }, 'a webhook is not believed')
  }

  async #noteDistrusted(): Promise<void> {
    const counts = this.#distrust.take()
    for (const [index, count] of counts.entries()) {
      try {
        await this.#note(distrustAnomaly(count), count.times)
      } catch (error) {
        for (const left of counts.slice(index)) this.#distrust.putBack(left)
        throw error
      }
    }
  }

  async #note(anomaly: Anomaly, times: number): Promise<void> {
    await this.#parts.books.note(anomaly, this.#parts.clock.nowMs(), times)
  }

  async #settle(orders: readonly LedgerOrder[]): Promise<void> {
    if (orders.length === 0) return
    try {
      await this.#parts.settle(orders)
    } catch (error) {
      // Committed is committed: the reconciler tells the store.
      this.#parts.logger.warn({ err: error, orderIds: orders.map(({ id }) => id) }, 'the store is told later')
    }
  }

  #context(): JudgeContext {
    const { clock, storeNowMs, latePayment } = this.#parts
    return { nowMs: clock.nowMs(), storeNowMs, latePayment }
  }

  #contextOfReceipt(): JudgeContext {
    const { clock, latePayment } = this.#parts
    const [nowMs, startedMs, storeNowMs] = [clock.nowMs(), clock.monotonicMs(), this.#parts.storeNowMs()]
    const receivedAgoMs = (): number => clock.monotonicMs() - startedMs
    return { nowMs, storeNowMs: () => storeNowMs, latePayment, receivedAgoMs }
  }

  #hasLapsed({ holdExpiresAtMs }: LedgerOrder): boolean {
    const storeNowMs = this.#parts.storeNowMs()
    return storeNowMs !== null && Math.min(storeNowMs, this.#parts.clock.nowMs()) >= holdExpiresAtMs
  }

  async #namesOf({ saleId, fareId }: LedgerOrder): Promise<{ readonly saleName: string; readonly fareName: string }> {
    const definition = this.#definitions.get(saleId) ?? (await this.#parts.ledger.sale(saleId))?.definition
    if (definition !== undefined) this.#definitions.set(saleId, definition)
    const fare = definition?.fares.find(({ id }) => id === fareId)
    return { saleName: definition?.name ?? saleId, fareName: fare?.name ?? fareId }
  }
}

function distrustAnomaly({ provider, why, detail }: DistrustCount): Anomaly {
  return { id: `${why} ${provider}`, kind: why, provider, reference: null, detail }
}
