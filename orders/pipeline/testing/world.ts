/** One sale in an in-memory store and ledger under one stepped clock, and processes of the pipeline over them. */
import { createLogger } from '../../../runtime/logger.ts'
import { SteppedClock } from '../../../runtime/clock.ts'
import { Metrics } from '../../../runtime/metrics.ts'
import type { Order, SaleDefinition } from '../../../stock/core/words.ts'
import { createMemoryStock, type MemoryStock } from '../../../stock/memory/memory-stock.ts'
import type { SaleStore } from '../../../stock/port.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { MemoryLedger, type MemoryLedgerOptions } from '../../ledger/memory-ledger.ts'
import { Fates } from '../fates.ts'
import { HoldScan } from '../hold-scan.ts'
import { PipelineMetrics } from '../pipeline-metrics.ts'
import { Reconciler } from '../reconcile.ts'
import { Settling } from '../settling.ts'
import { Sweep } from '../sweep.ts'
import { Taking } from '../taking.ts'
import { Trimming } from '../trimming.ts'

export const SALE = 'demo'
export const FARE = 'second'
export const HOLD_MS = 60_000
export const KEEP_MS = 5000
const RULES = { buffer: { tickets: 1 }, deadAfterMs: 1500 }

export function definitionOf(stock: number): SaleDefinition {
  return {
    id: SALE,
    name: 'Demo',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 4,
    holdMs: HOLD_MS,
    fares: [{ id: FARE, name: 'Second', price: { amount: 100, currency: 'CNY' }, stock }],
    orderIdSecret: '00',
  }
}

/** What one orders process runs, to be stepped by hand. */
export interface Process {
  readonly taking: Taking
  readonly settling: Settling
  readonly reconciler: Reconciler
  readonly sweep: Sweep
  readonly holds: HoldScan
  readonly trimming: Trimming
  readonly fates: Fates
  readonly metrics: PipelineMetrics
  /** Why the store was said to be another than the ledger's, each time. */
  readonly recovering: string[]
  /** Sales of which the store sold more than the ledger had room for, once for each time. */
  readonly overran: readonly string[]
}

export interface World {
  readonly clock: SteppedClock
  readonly stock: MemoryStock
  readonly ledger: MemoryLedger
  /** A process over these ports, by default the world's own. */
  start(ports?: { readonly ledger?: Ledger; readonly store?: SaleStore }): Process
  /** Buyers who get one ticket each, all in one change of the store. */
  buy(...buyers: string[]): Promise<Order[]>
  /** The store begins another life. */
  restartStore(): void
  storeOrder(id: string): Order | undefined
}

export async function createWorld(tickets: number, ledgerOptions: Partial<MemoryLedgerOptions> = {}): Promise<World> {
  const clock = new SteppedClock()
  let life = 1
  const stock = createMemoryStock({ nowMs: () => clock.nowMs(), fingerprint: () => `life-${life}` })
  const ledger = new MemoryLedger({ nowMs: () => clock.nowMs(), ...ledgerOptions })
  const definition = definitionOf(tickets)
  await ledger.createSale(definition)
  await stock.sales.create(definition, 1)
  await stock.sales.change(SALE, 'open', { era: 0, seq: 0 })
  const log = createLogger({ level: 'silent' })
  return {
    clock,
    stock,
    ledger,
    start(ports = {}) {
      const recovering: string[] = []
      const overran: string[] = []
      const common = {
        saleId: SALE,
        ledger: ports.ledger ?? ledger,
        store: ports.store ?? stock.sales,
        clock,
        storeNowMs: () => clock.nowMs(),
        metrics: new PipelineMetrics(new Metrics(), () => []),
        log,
        onRecovering: (_saleId: string, why: string): void => void recovering.push(why),
        onOverrun: (saleId: string): void => void overran.push(saleId),
      }
      const settling = new Settling(common)
      const all = { ...common, settling }
      return {
        taking: new Taking(all),
        settling,
        reconciler: new Reconciler(all),
        sweep: new Sweep(all),
        holds: new HoldScan(all),
        trimming: new Trimming({ ...all, keepMs: KEEP_MS }),
        fates: new Fates(all),
        metrics: common.metrics,
        recovering,
        overran,
      }
    },
    async buy(...buyers) {
      const joined = await stock.sales.join(SALE, { id: 'n1', weight: 1 }, { era: 0, seq: 0 }, 0, RULES)
      if (joined.outcome !== 'joined') throw new Error(joined.outcome)
      const { epoch, version: seen } = joined
      const items = buyers.map((buyer) => ({
        orderId: `o-${buyer}`,
        buyer,
        fareId: FARE,
        quantity: 1,
        deadlineMs: clock.nowMs() + 1000,
      }))
      const reply = await stock.sales.confirm(SALE, { nodeId: 'n1', epoch, seen, lastWriteSeq: 0 }, items, RULES)
      if (reply.outcome !== 'judged') throw new Error(reply.outcome)
      return reply.verdicts.flatMap(({ status, order }) => (status === 'held' && order !== undefined ? [order] : []))
    },
    restartStore() {
      life += 1
    },
    storeOrder: (id) => stock.saleRecords.get(SALE)?.orders.get(id),
  }
}

/** Takes until there is nothing more to take. */
export async function takeAll({ taking }: Process, turnsMax = 50): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn += 1) if ((await taking.turn()) >= 100 && taking.level.behind === 0) return
  throw new Error(`still taking after ${turnsMax} turns`)
}

/** All rows of the sale. */
export async function rowsOf(ledger: Ledger): Promise<Map<string, string>> {
  const rows = await ledger.scanOrders(SALE, null, 100_000)
  return new Map(
    rows.map(({ id, state, reason, isSettled }) => [id, `${reason ?? state}${isSettled ? '' : ' unsettled'}`]),
  )
}
