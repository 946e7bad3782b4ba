/** An orders process in this process: its admin API over ledger and store in memory, to be stepped by hand. */
import type { AdminRequest, AdminAnswer } from '../../http/admin-server.ts'
import type { AskTold } from '../../http/node-journal.ts'
import type { AskNode } from '../../http/node-report.ts'
import { Metrics } from '../../runtime/metrics.ts'
import { createLogger } from '../../runtime/logger.ts'
import { type Log, SILENT } from '../../runtime/log.ts'
import type { QuotaRules } from '../../stock/core/words.ts'
import type { StockPort } from '../../stock/port.ts'
import { answerAdmin, type MoneyActs } from '../admin/admin-routes.ts'
import { Keeping } from '../keeping/keeping.ts'
import { MemoryActs } from '../ledger/memory-acts.ts'
import { MemoryLedger } from '../ledger/memory-ledger.ts'
import { OrderReader } from '../order-reader.ts'
import type { Fates } from '../pipeline/fates.ts'
import { Pipeline } from '../pipeline/pipeline.ts'
import { Losses } from '../recovery/losses.ts'
import { Marks } from '../recovery/marks.ts'
import { Recovery, type UnionRules } from '../recovery/recovery.ts'
import { SaleRounds } from '../recovery/sale-rounds.ts'
import { SaleActs } from '../sales/sale-acts.ts'
import { SaleBook } from '../sale-book.ts'

export interface InMemoryOrdersOptions {
  readonly port: StockPort
  readonly rules: QuotaRules
  readonly nowMs: () => number
  readonly askNode: AskNode
  readonly askTold?: AskTold
  readonly union?: UnionRules
  /** Milliseconds between two rounds, where they are started. */
  readonly everyMs?: number
  readonly rehearse?: () => Promise<void>
  readonly log?: Log
  /** Of another process, to share its ledger. */
  readonly shared?: Pick<InMemoryOrders, 'ledger' | 'actLedger'>
}

export interface InMemoryOrders {
  readonly ledger: MemoryLedger
  readonly actLedger: MemoryActs
  readonly marks: Marks
  readonly acts: SaleActs
  readonly recovery: Recovery
  readonly rounds: SaleRounds
  answer(request: AdminRequest): Promise<AdminAnswer>
  /** One look at every sale, and all that follows from it. */
  round(): Promise<void>
}

export function inMemoryOrders(options: InMemoryOrdersOptions): InMemoryOrders {
  const { port, rules, nowMs, askNode, askTold, union, shared, rehearse, everyMs = 200, log = SILENT } = options
  const ledger = shared?.ledger ?? new MemoryLedger({ nowMs })
  const actLedger = shared?.actLedger ?? new MemoryActs(ledger)
  const marks = new Marks(ledger)
  const common = { port, ledger, rules, marks, log, declaredDurable: false }
  const acts = new SaleActs({ ...common, acts: actLedger, ...(rehearse === undefined ? {} : { rehearse }) })
  const recovery = new Recovery({ ...common, askNode, monotonicMs: nowMs, ...(union === undefined ? {} : { union }) })
  const losses =
    askTold === undefined
      ? {}
      : { losses: new Losses({ ledger, store: port.sales, askTold, log: SILENT, monotonicMs: nowMs }) }
  const rounds = new SaleRounds({ ...common, acts, recovery, ...losses, monotonicMs: nowMs, everyMs })
  const reader = new OrderReader({ ledger, port, book: new SaleBook(port, rules), log: SILENT })
  const onOverrun = (saleId: string, storeEra: number): void => rounds.overran(saleId, storeEra)
  const { fates } = new Pipeline({
    ledger,
    store: port.sales,
    clock: { nowMs, monotonicMs: nowMs },
    storeNowMs: nowMs,
    metrics: new Metrics(),
    log: createLogger({ level: 'silent', bindings: {} }),
    onRecovering: () => rounds.askAgain(),
    onOverrun,
  })
  const keeping = new Keeping({
    ledger,
    faults: noFaults,
    monotonicMs: nowMs,
    metrics: new Metrics(),
    log: SILENT,
    onOverrun,
  })
  return {
    ledger,
    actLedger,
    marks,
    acts,
    recovery,
    rounds,
    answer: (request) =>
      answerAdmin(
        {
          ledger,
          reader,
          fates,
          money: withoutMoney(fates),
          acts,
          recovery,
          rounds,
          keeping,
          fleet: port.fleet,
          nowMs,
        },
        request,
      ),
    async round() {
      await rounds.round()
      await rounds.settled()
    },
  }
}

function noFaults(): Promise<readonly string[]> {
  return Promise.resolve([])
}

/** There are no payments in memory: a refund is the order's alone. */
function withoutMoney(fates: Fates): MoneyActs {
  return {
    async refund(orderId) {
      const { outcome, order } = await fates.decide(orderId, { state: 'released', reason: 'refunded' })
      if (order === null) return { outcome: 'no_such_order' }
      if (outcome !== 'decided' && outcome !== 'already') return { outcome: 'not_paid' }
      return { outcome: outcome === 'already' ? 'already' : 'refunding', order }
    },
    problems: () => Promise.resolve([]),
    anomalies: () => Promise.resolve([]),
    rotateKeys: () => Promise.reject(new Error('there are no tickets in memory')),
  }
}
