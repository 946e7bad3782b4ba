/**
 * An orders process as simulated: the real pipeline, fates, reader, rounds, recovery, acts of operators and keeping, put
 * together as `orders/main.ts` does, over simulated connections, clocks and timers. Money is not simulated: who pays has
 * paid.
 */
import { journalOf, type NodeJournal } from '../http/node-journal.ts'
import type { KeepReply, OrdersToKeep } from '../http/keep-orders.ts'
import type { NodeReport } from '../http/node-report.ts'
import { Keeping } from '../orders/keeping/keeping.ts'
import { OrderReader } from '../orders/order-reader.ts'
import { Pipeline } from '../orders/pipeline/pipeline.ts'
import { Presence } from '../orders/presence.ts'
import { Marks } from '../orders/recovery/marks.ts'
import { Recovery, type UnionRules } from '../orders/recovery/recovery.ts'
import { SaleRounds } from '../orders/recovery/sale-rounds.ts'
import { SaleBook } from '../orders/sale-book.ts'
import { SaleActs } from '../orders/sales/sale-acts.ts'
import type { Logger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import type { QuotaRules } from '../stock/core/words.ts'
import type { Act } from './history.ts'
import type { Host } from './host.ts'
import { LedgerLink } from './ledger-link.ts'
import type { LedgerServer } from './ledger-server.ts'
import type { NodeProcess } from './node-process.ts'
import { askAt } from './private-port.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

const ASK_NODE_WITHIN_MS = 800
const ASK_JOURNAL_WITHIN_MS = 3000
/** Processes do not begin at the same moment. */
const BEGINS_WITHIN_MS = 200

export interface OrdersSettings {
  readonly rules: QuotaRules
  /** `ack: ledger`. */
  readonly allInLedger: boolean
}

/** What one life of the process consists of. */
interface Parts {
  readonly acts: SaleActs
  readonly rounds: SaleRounds
  readonly pipeline: Pipeline
  readonly reader: OrderReader
  readonly keeping: Keeping
}

export class OrdersProcess {
  readonly host: Host
  readonly link: StoreLink
  readonly adminUrl: string
  /** When its log last told an operator of a sale that stays closed, or was put together again; virtual time. */
  toldMs = Number.NEGATIVE_INFINITY
  /** Orders whose fate the store would not take. */
  readonly unsettleable = new Set<string>()
  readonly ledgerLink: LedgerLink
  readonly #nodes: readonly NodeProcess[]
  readonly #settings: OrdersSettings
  readonly #log: Logger
  #parts: Parts

  constructor(
    host: Host,
    cluster: StoreCluster,
    database: LedgerServer,
    nodes: readonly NodeProcess[],
    settings: OrdersSettings,
    log: Logger,
  ) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.adminUrl = `sim://${host.id}/admin`
    this.ledgerLink = new LedgerLink(host, database)
    this.#nodes = nodes
    this.#settings = settings
    this.#log = this.#watched(log)
    this.#parts = this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.#parts = this.#begin()
    }
  }

  get acts(): SaleActs {
    return this.#parts.acts
  }

  /** As the routes of buyers do: the order first, then its fate. `missing`: nobody knows such an order. */
  async act(orderId: string, kind: Act['kind']): Promise<Act['outcome'] | 'missing'> {
    const { reader, pipeline } = this.#parts
    try {
      if ((await reader.find(orderId)) === null) return 'missing'
      const { fates } = pipeline
      const { outcome } = await (kind === 'pay' ? fates.pay(orderId) : fates.cancel(orderId))
      if (outcome === 'recovering') return 'unknown'
      if (outcome === 'no_such_order') return 'missing'
      return outcome === 'decided' || outcome === 'already' ? 'ok' : 'fail'
    } catch {
      return 'unknown'
    }
  }

  async keep(saleId: string, body: OrdersToKeep): Promise<KeepReply> {
    return this.#parts.keeping.keep(saleId, { ...body })
  }

  /** The operator's decision. */
  async force(saleId: string): Promise<boolean> {
    try {
      return (await this.#parts.rounds.recover(saleId)) !== null
    } catch {
      return false
    }
  }

  #begin(): Parts {
    const { host, link } = this
    const { port } = link
    const { ledger, acts: actLedger } = this.ledgerLink
    const { timers } = host
    const { rules } = this.#settings
    const monotonicMs = (): number => host.monotonicMs()
    const log = this.#log
    const metrics = new Metrics()
    const common = { port, ledger, rules, marks: new Marks(ledger), log, declaredDurable: false }
    const acts = new SaleActs({ ...common, acts: actLedger })
    const recovery = new Recovery({
      ...common,
      askNode: (adminUrl) => this.#askNode(adminUrl),
      monotonicMs,
      union: this.#unionRules(),
    })
    const rounds = new SaleRounds({ ...common, acts, recovery, monotonicMs, timers })
    const onOverrun = (saleId: string, storeEra: number): void => rounds.overran(saleId, storeEra)
    const presence = new Presence(
      port.fleet,
      { id: host.id, url: `sim://${host.id}`, adminUrl: this.adminUrl },
      host,
      log,
      timers,
    )
    const pipeline = new Pipeline({
      ledger,
      store: port.sales,
      clock: host,
      storeNowMs: () => presence.storeNowMs(),
      metrics,
      log,
      onRecovering: () => rounds.askAgain(),
      onOverrun,
      timers,
    })
    const reader = new OrderReader({ ledger, port, book: new SaleBook(port, rules), log, timers })
    const keeping = new Keeping({ ledger, faults: () => Promise.resolve([]), monotonicMs, metrics, log, onOverrun })
    timers.after(1 + host.kernel.random.below(BEGINS_WITHIN_MS), () => {
      presence.start()
      rounds.start()
      pipeline.start()
    })
    return { acts, rounds, pipeline, reader, keeping }
  }

  #unionRules(): UnionRules {
    return {
      allInLedger: this.#settings.allInLedger,
      askJournal: (adminUrl, saleId) => this.#askJournal(adminUrl, saleId),
    }
  }

  async #askNode(adminUrl: string): Promise<NodeReport | null> {
    const node = this.#nodes.find((candidate) => candidate.adminUrl === adminUrl)
    const report = await askAt(this.host, node?.host, ASK_NODE_WITHIN_MS, () => node?.report())
    return report === undefined ? null : (report as NodeReport)
  }

  async #askJournal(adminUrl: string, saleId: string): Promise<NodeJournal | null> {
    const node = this.#nodes.find((candidate) => candidate.adminUrl === adminUrl)
    const journal = await askAt(this.host, node?.host, ASK_JOURNAL_WITHIN_MS, () => node?.journal(saleId))
    return journalOf(journal ?? null)
  }

  /** The log, read as an operator does. */
  #watched(log: Logger): Logger {
    const error = (fields: { readonly saleId?: string; readonly orderId?: string }, message: string): void => {
      const { saleId, orderId } = fields
      this.host.kernel.note(`${this.host.id} says: ${message}`, 0, () => JSON.stringify(fields))
      if (saleId !== undefined && ALARMS.some((alarm) => message.includes(alarm))) this.toldMs = this.host.kernel.nowMs
      if (orderId !== undefined && message.includes('the store cannot take a fate')) this.unsettleable.add(orderId)
    }
    const info = (fields: { readonly how?: string }, message: string): void => {
      if (fields.how !== undefined)
        this.host.kernel.note(`${this.host.id} says: ${message}`, 0, () => JSON.stringify(fields))
      const isMadeGood = fields.how === 'recount' && this.#settings.allInLedger
      if (fields.how === 'union' || fields.how === 'operator' || isMadeGood) this.toldMs = this.host.kernel.nowMs
    }
    return { info, error, warn: log.warn.bind(log) } as unknown as Logger
  }
}

const ALARMS = ['operator must decide', 'acknowledged orders may be lost']
