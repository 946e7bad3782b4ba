/** Payments and tickets of an orders process, put together: routes to mount, work to start and stop. */
import type { LoadedConfig } from '../config/load.ts'
import type { Identifier } from '../http/identity.ts'
import type { Route } from '../http/route.ts'
import { tokenSigner } from '../http/sign-token.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Random } from '../runtime/random.ts'
import type { QuotaRules } from '../stock/core/words.ts'
import type { SaleStore } from '../stock/port.ts'
import type { MoneyActs } from './admin/admin-routes.ts'
import type { Database } from './ledger/database.ts'
import type { LedgerOrder } from './ledger/ledger.ts'
import type { SqlLedger } from './ledger/sql-ledger.ts'
import { Cashier } from './payment/cashier.ts'
import type { MoneyProblem } from './payment/agreement.ts'
import type { NotedAnomaly } from './payment/anomalies.ts'
import { PaymentLedger, type RefundOrderResult } from './payment/payment-ledger.ts'
import { paymentMetrics } from './payment/payment-metrics.ts'
import { retakeThrough } from './payment/retake-order.ts'
import { SandboxBooks } from './payment/sandbox/sandbox-books.ts'
import { SANDBOX, SandboxProvider } from './payment/sandbox/sandbox-provider.ts'
import { SandboxSender } from './payment/sandbox/sandbox-sender.ts'
import type { Fates } from './pipeline/fates.ts'
import type { Settling } from './pipeline/settling.ts'
import { Patience } from './pipeline/trouble.ts'
import { takeTurns, type Turns } from './pipeline/turns.ts'
import { demoSessionRoute } from './routes/demo-session.ts'
import { paymentRoutes } from './routes/payment.ts'
import { sandboxRoutes } from './routes/sandbox.ts'
import { ticketRoutes } from './routes/tickets.ts'
import { TicketKeys } from './tickets/ticket-keys.ts'
import { TicketOffice } from './tickets/ticket-office.ts'
import { TicketPool } from './tickets/ticket-pool.ts'

export interface MoneySideParts {
  readonly loaded: LoadedConfig
  /** This process's name in the fleet. */
  readonly id: string
  readonly ledger: SqlLedger
  readonly database: Database
  readonly store: SaleStore
  readonly rules: QuotaRules
  readonly fates: Pick<Fates, 'ensure'>
  readonly settling: Pick<Settling, 'settleOrders'>
  /** The store's clock as last heard, never ahead of it. */
  readonly storeNowMs: () => number | null
  readonly identifier: Identifier
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
  /** Of this process, once its port is open. */
  readonly ownUrl: () => string
}

const CASHIER_EVERY_MS = 1000
const SANDBOX_EVERY_MS = 500

export class MoneySide implements MoneyActs {
  readonly #cashier: Cashier
  readonly #office: TicketOffice
  readonly routes: readonly Route[]
  readonly #parts: MoneySideParts
  readonly #sender: SandboxSender
  readonly #turns: Turns[] = []

  /** Throws what to tell the operator when a secret is missing. */
  constructor(parts: MoneySideParts) {
    this.#parts = parts
    const { loaded, database, ledger, clock, random, logger, identifier } = parts
    const { payment, http } = loaded.config
    const secret = payment['sandbox.secret']
    if (secret === null) {
      throw new Error('payment.sandbox.secret is not set: name a file with payment.sandbox.secretFile')
    }
    const books = new SandboxBooks(database, random, clock, sandboxBehaviour(payment))
    const providers = [new SandboxProvider(books, { secret, windowMs: payment.webhookWindowMs })]
    const webhookUrl = (): string =>
      payment['sandbox.webhookUrl'] ?? new URL(`/api/payments/webhook/${SANDBOX}`, parts.ownUrl()).href
    this.#sender = new SandboxSender({ books, secret, webhookUrl, clock, logger })
    const findOrder = (orderId: string): Promise<LedgerOrder | 'recovering' | null> => parts.fates.ensure(orderId)
    this.#cashier = new Cashier({
      ledger,
      books: new PaymentLedger(database, ledger),
      providers,
      findOrder,
      storeNowMs: parts.storeNowMs,
      settle: (orders) => parts.settling.settleOrders(orders),
      retake: retakeThrough(parts.store, parts.id, parts.rules),
      latePayment: loaded.config.latePayment,
      clock,
      logger,
      metrics: paymentMetrics(parts.metrics),
    })
    const pool = new TicketPool()
    parts.metrics.gauge('farebox_ticket_queue', 'Orders whose tickets wait for a thread.', () => pool.queueLength)
    this.#office = new TicketOffice(new TicketKeys(database, clock), pool)
    this.routes = [
      ...paymentRoutes({ cashier: this.#cashier, identifier, providers, publicUrl: http.publicUrl }),
      ...sandboxRoutes({ books, onPressed: () => void this.#sendNow() }),
      ...ticketRoutes({ office: this.#office, identifier, findOrder }),
      ...this.#demoRoutes(),
    ]
  }

  /** After the port is open. Rejects with `DatabaseError`. */
  async start(): Promise<void> {
    const { logger } = this.#parts
    await this.#office.keys.ensure()
    logger.warn({ provider: SANDBOX }, 'payments go to the sandbox: no money moves')
    this.#turns.push(
      this.#takeTurns('refunds and late payments', CASHIER_EVERY_MS, () => this.#cashier.work()),
      this.#takeTurns('the sandbox', SANDBOX_EVERY_MS, () => this.#sender.work()),
    )
  }

  /** Before the ledger is closed. What is left undone stands in the books. */
  async stop(): Promise<void> {
    await Promise.all(this.#turns.map((turns) => turns.stop()))
    await this.#office.close()
  }

  /** Resolves when every payment event received until now is judged. */
  judged(): Promise<void> {
    return this.#cashier.judged()
  }

  refund(orderId: string): Promise<RefundOrderResult> {
    return this.#cashier.refund(orderId)
  }

  problems(saleId: string): Promise<readonly MoneyProblem[]> {
    return this.#cashier.problems(saleId)
  }

  anomalies(limit: number): Promise<readonly NotedAnomaly[]> {
    return this.#cashier.anomalies(limit)
  }

  async rotateKeys(): Promise<{ readonly kid: string; readonly keys: number }> {
    const kid = await this.#office.keys.rotate()
    const { keys } = await this.#office.keys.published()
    return { kid, keys: keys.length }
  }

  #takeTurns(name: string, everyMs: number, work: () => Promise<void>): Turns {
    const { logger } = this.#parts
    const patience = new Patience(name, logger)
    const turn = async (): Promise<number> => {
      try {
        await work()
        patience.wentWell()
        return everyMs
      } catch (error) {
        return Math.max(everyMs, patience.waitAfter(error))
      }
    }
    return takeTurns(name, turn, logger)
  }

  /** A buyer waits for it; trouble is for the next turn. */
  async #sendNow(): Promise<void> {
    try {
      await this.#sender.work()
    } catch (error) {
      this.#parts.logger.warn({ err: error }, 'the sandbox sends later')
    }
  }

  #demoRoutes(): Route[] {
    const { loaded, clock, random } = this.#parts
    const { demo, identity } = loaded.config
    if (!demo.signIn || identity.secret === null) return []
    const { issuer, audience } = identity
    return [demoSessionRoute({ sign: tokenSigner(identity.secret, { issuer, audience }), clock, random })]
  }
}

function sandboxBehaviour(payment: LoadedConfig['config']['payment']): ConstructorParameters<typeof SandboxBooks>[3] {
  return {
    delayMs: payment['sandbox.delayMs'],
    duplicates: payment['sandbox.duplicates'],
    failure: payment['sandbox.failure'],
    outOfOrder: payment['sandbox.outOfOrder'],
    forged: payment['sandbox.forged'],
    wrongAmount: payment['sandbox.wrongAmount'],
  }
}
