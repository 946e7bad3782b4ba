/**
 * Everything around the cashier in one process: a ledger on PGlite in a directory of its own, the store in memory, the
 * sandbox's books, and buyers. Webhooks go in as bytes with a signature, as they would over HTTP.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SteppedClock, systemClock } from '../../../runtime/clock.ts'
import { createLogger } from '../../../runtime/logger.ts'
import { Metrics } from '../../../runtime/metrics.ts'
import { type Random, seededRandom } from '../../../runtime/random.ts'
import { createMemoryStock, type MemoryStock } from '../../../stock/memory/memory-stock.ts'
import type { SettleItem } from '../../../stock/port.ts'
import { type Order, type QuotaRules, type SaleDefinition, VERSION_ZERO } from '../../../stock/core/words.ts'
import { startTestPostgres } from '../../ledger/conformance/test-postgres.ts'
import { type Database, DatabaseError, type Transaction } from '../../ledger/database.ts'
import type { Decision, LedgerOrder } from '../../ledger/ledger.ts'
import { openLedger } from '../../ledger/open-ledger.ts'
import type { SqlLedger } from '../../ledger/sql-ledger.ts'
import { Cashier, type WebhookResult } from '../cashier.ts'
import type { LatePayment } from '../charge.ts'
import { PaymentLedger } from '../payment-ledger.ts'
import { paymentMetrics, type PaymentMetrics } from '../payment-metrics.ts'
import type { PaymentEvent, PaymentProvider, RefundAnswer, RefundRequest } from '../provider.ts'
import { retakeThrough } from '../retake-order.ts'
import { SandboxProvider } from '../sandbox/sandbox-provider.ts'
import { signWebhook } from '../webhook-signature.ts'

export const SECRET = 'a secret that the sandbox and we share'
export const WINDOW_MS = 300_000
const RULES: QuotaRules = { buffer: { tickets: 10 }, deadAfterMs: 60_000 }
const DAY_MS = 86_400_000
const PRICE = { amount: 1200, currency: 'EUR' }

const NOT_ASKED = (): Promise<RefundAnswer> => Promise.reject(new Error('not asked in these tests'))

export interface WorldOptions {
  readonly latePayment?: LatePayment
  readonly holdMs?: number
  readonly stock?: number
  readonly limitPerBuyer?: number
}

/** One sale in the shared database. */
export class MoneyWorld {
  readonly saleId: string
  /** A day behind the ledger's, which is the machine's: so this one alone says when a hold lapses. */
  readonly clock = new SteppedClock(systemClock.nowMs() - DAY_MS)
  readonly ledger: SqlLedger
  readonly books: PaymentLedger
  readonly cashier: Cashier
  readonly stock: MemoryStock
  readonly metrics: PaymentMetrics
  /** Refunds that the provider was asked for, in order. */
  readonly refundsAsked: RefundRequest[] = []
  /** What the provider says to a refund; throwing stands for a lost answer. */
  answerRefund: (request: RefundRequest) => RefundAnswer = () => ({ outcome: 'done' })
  /** Whether the cashier knows the store's clock. */
  isStoreHeard = true
  /** Whether fates that were committed fail to reach the store. */
  isStoreDeaf = false
  /** What happens between the new order of late money and its payment. */
  afterRetake: () => Promise<void> = () => Promise.resolve()
  readonly #database: Switchable
  readonly #holdMs: number
  readonly #definition: SaleDefinition
  readonly #random: Random
  #epoch = 0
  #events = 0

  private constructor(shared: SharedLedger, saleId: string, seed: number, options: WorldOptions) {
    const { latePayment = 'refund', holdMs = 600_000, stock = 10, limitPerBuyer = 4 } = options
    this.saleId = saleId
    this.#holdMs = holdMs
    this.#random = seededRandom(seed)
    this.#definition = {
      id: saleId,
      name: 'The sale',
      opensAtMs: null,
      closesAtMs: null,
      limitPerBuyer,
      holdMs,
      orderIdSecret: 'ab'.repeat(32),
      fares: [{ id: 'seat', name: 'Seat', price: PRICE, stock }],
    }
    this.#database = new Switchable(shared.database)
    this.ledger = shared.ledger
    this.books = new PaymentLedger(this.#database, shared.ledger)
    this.stock = createMemoryStock({ nowMs: () => this.clock.nowMs(), fingerprint: () => 'life' })
    this.metrics = paymentMetrics(new Metrics())
    const { sales } = this.stock
    this.cashier = new Cashier({
      ledger: this.ledger,
      books: this.books,
      providers: [this.#provider()],
      findOrder: async (orderId) => this.ledger.order(orderId),
      storeNowMs: () => this.storeNowMs,
      settle: async (orders) => {
        if (!this.isStoreDeaf) await this.settle(orders)
      },
      retake: async (wish) => {
        const outcome = await retakeThrough(sales, 'o1', RULES)(wish)
        await this.afterRetake()
        return outcome
      },
      latePayment,
      clock: this.clock,
      logger: createLogger({ level: 'silent' }),
      metrics: this.metrics,
    })
  }

  static async open(shared: SharedLedger, options: WorldOptions = {}): Promise<MoneyWorld> {
    shared.sales += 1
    const world = new MoneyWorld(shared, `sale-${shared.sales}`, shared.sales, options)
    await world.#openSale()
    return world
  }

  /** While true, every statement about money fails. */
  set isLedgerAway(away: boolean) {
    this.#database.isAway = away
  }

  async #openSale(): Promise<void> {
    const { sales } = this.stock
    await this.ledger.createSale(this.#definition)
    await sales.create(this.#definition, 1)
    await sales.change(this.saleId, 'open', VERSION_ZERO)
    const joined = await sales.join(this.saleId, { id: 'n1', weight: 1 }, VERSION_ZERO, 0, RULES)
    if (joined.outcome !== 'joined') throw new Error(`join: ${joined.outcome}`)
    this.#epoch = joined.epoch
  }

  /** Buys, and takes the order into the ledger; null when there are no tickets. */
  async buy(buyer = 'alice', quantity = 1): Promise<LedgerOrder | null> {
    const { sales } = this.stock
    const snapshot = await sales.read(this.saleId, RULES)
    const seen = snapshot?.version ?? VERSION_ZERO
    const caller = { nodeId: 'n1', epoch: this.#epoch, seen, lastWriteSeq: 0 }
    const orderId = this.#orderId()
    const deadlineMs = this.clock.nowMs() + 1000
    const reply = await sales.confirm(
      this.saleId,
      caller,
      [{ orderId, buyer, fareId: 'seat', quantity, deadlineMs }],
      RULES,
    )
    if (reply.outcome !== 'judged') throw new Error(`confirm: ${reply.outcome}`)
    const order = reply.verdicts[0]?.order
    if (order === undefined) return null
    await this.ledger.ensure(this.saleId, 1, [order])
    return this.ledger.order(orderId)
  }

  /** An order that a payment was started for. */
  async buyAndStart(buyer = 'alice', quantity = 1): Promise<LedgerOrder> {
    const order = await this.buy(buyer, quantity)
    if (order === null) throw new Error('there are no tickets')
    const started = await this.cashier.startPayment(order.id, buyer)
    if (started.outcome !== 'started') throw new Error(`start: ${started.outcome}`)
    return order
  }

  event(order: LedgerOrder, kind: PaymentEvent['kind'], more: Partial<PaymentEvent> = {}): PaymentEvent {
    this.#events += 1
    return {
      id: `evt-${this.saleId}-${this.#events}`,
      kind,
      reference: order.id,
      chargeId: `ch-${order.id}`,
      amount: PRICE.amount * order.quantity,
      currency: PRICE.currency,
      occurredAtMs: this.clock.nowMs(),
      ...more,
    }
  }

  /** As it comes over HTTP, signed now. */
  hear(event: PaymentEvent, signedWith = SECRET, signedAtMs = this.clock.nowMs()): Promise<WebhookResult> {
    const { kind, ...rest } = event
    const body = Buffer.from(JSON.stringify({ ...rest, type: kind }))
    return this.cashier.hear('sandbox', body, [signWebhook(signedWith, body, signedAtMs)])
  }

  get storeNowMs(): number | null {
    return this.isStoreHeard ? this.clock.nowMs() : null
  }

  /** Every hold that there is now lapses. */
  lapse(): void {
    this.clock.advance(this.#holdMs + 1)
  }

  async cancel(order: LedgerOrder): Promise<void> {
    const decision: Decision = { orderId: order.id, fate: { state: 'released', reason: 'cancelled' } }
    const [result] = await this.ledger.decide([decision], this.storeNowMs)
    if (result?.order) await this.settle([result.order])
  }

  async settle(orders: readonly LedgerOrder[]): Promise<void> {
    const decisions = orders.map(decisionOf)
    const items = decisions.map((decision): SettleItem => ({ ...decision, atMs: this.clock.nowMs() }))
    await this.stock.sales.settle(this.saleId, items, VERSION_ZERO)
    await this.ledger.markSettled(decisions)
  }

  async order(order: LedgerOrder): Promise<LedgerOrder> {
    const now = await this.ledger.order(order.id)
    if (now === null) throw new Error(`order ${order.id} is gone`)
    return now
  }

  /** All orders of the sale. */
  async orders(): Promise<readonly LedgerOrder[]> {
    return this.ledger.scanOrders(this.saleId, null, 1000)
  }

  /** Tells the store whatever it has not heard, and lets every refund and retake come to its end. */
  async finish(): Promise<void> {
    for (let round = 0; round < 20; round += 1) {
      await this.cashier.work()
      this.clock.advance(600_000)
    }
    const unsettled = await this.ledger.unsettled(this.saleId, 1000)
    await this.settle(unsettled)
  }

  /** Where money and stock do not agree: by the law of money, and store against ledger. */
  async problems(): Promise<readonly string[]> {
    const money = (await this.cashier.problems(this.saleId)).map(({ rule, witness }) => `${rule}: ${witness}`)
    const fare = (await this.stock.sales.read(this.saleId, RULES))?.fares[0]
    const [sum] = await this.ledger.sums(this.saleId)
    const differs = fare?.held !== sum?.held || fare?.paid !== sum?.paid
    const stock = differs ? [`store ${JSON.stringify(fare)}, ledger ${JSON.stringify(sum)}`] : []
    return [...money, ...stock]
  }

  /** Through the sandbox's adapter for webhooks; refunds as the test says. */
  #provider(): PaymentProvider {
    const sandbox = new SandboxProvider(
      { create: async () => {}, refund: NOT_ASKED },
      { secret: SECRET, windowMs: WINDOW_MS },
    )
    return {
      name: sandbox.name,
      webhookHeaders: sandbox.webhookHeaders,
      create: (request) => sandbox.create(request),
      readWebhook: (body, headers, nowMs) => sandbox.readWebhook(body, headers, nowMs),
      refund: async (request) => {
        this.refundsAsked.push(request)
        return this.answerRefund(request)
      },
    }
  }

  #orderId(): string {
    const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
    return Array.from({ length: 26 }, () => alphabet[this.#random.below(32)]).join('')
  }
}

export function decisionOf({ id, state, reason }: Pick<Order, 'id' | 'state' | 'reason'>): Decision {
  if (state === 'paid') return { orderId: id, fate: { state } }
  if (state === 'released' && reason !== null) return { orderId: id, fate: { state, reason } }
  throw new Error(`order ${id} is ${state}: nothing to tell`)
}

/** A database that can be away. */
class Switchable implements Database {
  readonly kind = 'pglite'
  isAway = false
  readonly #inner: Database

  constructor(inner: Database) {
    this.#inner = inner
  }

  async query<Row extends object>(...args: Parameters<Database['query']>): Promise<readonly Row[]> {
    this.#check()
    return this.#inner.query<Row>(...args)
  }

  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    this.#check()
    return this.#inner.transaction(work)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #check(): void {
    if (this.isAway) throw new DatabaseError('away', 'the ledger is away')
  }
}

/** One database for many sales: opening one takes seconds. */
export interface SharedLedger {
  readonly ledger: SqlLedger
  readonly database: Database
  sales: number
  close(): Promise<void>
}

export const DATABASES = ['pglite', 'postgres'] as const

export async function openSharedLedger(kind: (typeof DATABASES)[number] = 'pglite'): Promise<SharedLedger> {
  return kind === 'pglite' ? openOnPglite() : openOnPostgres()
}

async function openOnPglite(): Promise<SharedLedger> {
  const directory = await mkdtemp(join(tmpdir(), 'farebox-money-'))
  const { ledger, database } = await openLedger(`pglite://${directory}/ledger`)
  const close = async (): Promise<void> => {
    await database.close()
    await rm(directory, { recursive: true, force: true })
  }
  return { ledger, database, sales: 0, close }
}

/** A real server of the test's own. */
async function openOnPostgres(): Promise<SharedLedger> {
  // Nothing dies here, so nothing need reach the disk.
  const server = await startTestPostgres(['fsync=off', 'synchronous_commit=off'])
  const { ledger, database } = await openLedger(await server.database())
  const close = async (): Promise<void> => {
    await database.close()
    await server.stop()
  }
  return { ledger, database, sales: 0, close }
}
