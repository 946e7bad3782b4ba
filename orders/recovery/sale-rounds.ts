/**
 * Looks at every sale of the ledger about five times a second: raises the watermark of those that sell, recovers those
 * that do not, and completes what an operator's act left half done.
 */
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { startRounds, type Rounds } from '../../runtime/rounds.ts'
import type { Timers } from '../../runtime/timers.ts'
import { compareVersions, type QuotaRules, type Version } from '../../stock/core/words.ts'
import type { FleetNode, FleetSnapshot, SaleSnapshot, StockPort } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import type { SaleActs } from '../sales/sale-acts.ts'
import type { Loss, Losses } from './losses.ts'
import type { Marks } from './marks.ts'
import type { Recovery } from './recovery.ts'

export interface SaleRoundsParts {
  readonly port: StockPort
  readonly ledger: Ledger
  readonly rules: QuotaRules
  readonly marks: Marks
  readonly recovery: Recovery
  /** Absent where nobody can be asked what was told. */
  readonly losses?: Losses
  readonly acts: Pick<SaleActs, 'complete' | 'adopt' | 'restore' | 'change'>
  readonly declaredDurable: boolean
  readonly log: Log
  readonly monotonicMs: () => number
  readonly everyMs?: number
  /** The process's own unless a simulation steps them. */
  readonly timers?: Timers
}

/** How often the ledger hears of marks, and says which sales there are, by itself. */
const LEDGER_EVERY_MS = 1000

/** A store that sells too much again so soon after it was counted anew is being changed by somebody or something. */
const OVERRUN_AGAIN_MS = 10 * 60_000

/** A sale that was paused because counting anew did not help. */
export interface Overrun {
  readonly saleId: string
  /** Of the store, when it was paused. */
  readonly version: Version
}

export class SaleRounds {
  readonly #parts: SaleRoundsParts
  #rounds: Rounds | null = null
  #sales: readonly LedgerSale[] = []
  #askedLedgerAtMs = Number.NEGATIVE_INFINITY
  #durability: { readonly durable: boolean; readonly fingerprint: string } | null = null
  /** Nodes to ask, with their addresses. A store that comes back behind may lack the very nodes that know more. */
  #nodes: readonly FleetNode[] = []
  readonly #underWay = new Map<string, Promise<void>>()
  /**
   * Sales of which the store sold more than the ledger has room for, and which were not answered for it yet, with the era
   * in which it sold that.
   */
  readonly #overran = new Map<string, number>()
  readonly #recountedAtMs = new Map<string, number>()
  readonly #paused = new Map<string, Overrun>()

  constructor(parts: SaleRoundsParts) {
    this.#parts = parts
  }

  start(): void {
    const { everyMs = 200, log, timers } = this.#parts
    this.#rounds = startRounds('sales', everyMs, () => this.round(), log, timers)
  }

  /** Ends after the round under way, and tells the ledger what was seen last. */
  async stop(): Promise<void> {
    await this.#rounds?.stop()
    await this.settled()
    await this.#parts.marks.flush()
  }

  /** Resolves when nothing goes on beside the rounds. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }

  /** Sales that the ledger knows, as last heard. */
  sales(): readonly LedgerSale[] {
    return this.#sales
  }

  /** The next round asks the ledger again. */
  askAgain(): void {
    this.#askedLedgerAtMs = Number.NEGATIVE_INFINITY
  }

  /**
   * The ledger had no room for an order of the store, although both agree on the stock: the store's counters are wrong,
   * or the ledger's. The store is counted anew at once, which takes as long as reading its orders. If it sells too
   * much again soon after, that was not it, and the sale is paused: whoever buys now hears "held" and then "released".
   * Where another process has counted it anew since that era of the store, nothing is left to do.
   */
  overran(saleId: string, storeEra: number): void {
    this.#overran.set(saleId, Math.max(storeEra, this.#overran.get(saleId) ?? 0))
  }

  /** Until they are open again. */
  overruns(): readonly Overrun[] {
    return [...this.#paused.values()]
  }

  losses(): readonly Loss[] {
    return this.#parts.losses?.all() ?? []
  }

  async round(): Promise<void> {
    const { port, rules, recovery, losses, marks, acts } = this.#parts
    const isLedgerRound = this.#parts.monotonicMs() - this.#askedLedgerAtMs >= LEDGER_EVERY_MS
    const fleet = await port.fleet.read()
    this.#nodes = withThose(fleet.nodes, this.#nodes)
    let allWhole = true
    // Marks are noted, and sales watched, also while the ledger is away.
    const trouble = isLedgerRound ? await this.#askLedger(fleet).catch((error: unknown) => error) : null
    await this.#askDurability(isLedgerRound)
    for (const sale of this.#sales) {
      const saleId = sale.definition.id
      const snapshot = await port.sales.read(saleId, rules)
      if (snapshot === null && marks.get(saleId) === null) {
        this.#background(`complete ${saleId}`, () => acts.complete(sale, null, fleet))
      } else if (recovery.isWhole(sale, snapshot) && snapshot !== null) {
        recovery.sawSelling(saleId, snapshot)
        this.#forgetPause(saleId, snapshot)
        if (this.#overran.has(saleId)) this.#background(`recover ${saleId}`, () => this.#stopOverrun(saleId, snapshot))
        if (this.#durability !== null) marks.note(saleId, snapshot.version, this.#durability)
        if (isLedgerRound) {
          this.#background(`complete ${saleId}`, () => acts.complete(sale, snapshot, fleet))
          const { era } = snapshot.version
          this.#background(`look for losses of ${saleId}`, async () => losses?.look(saleId, era, fleet.nodes))
        }
      } else {
        allWhole = false
        this.askAgain()
        this.#background(`recover ${saleId}`, async () => {
          await recovery.look(saleId, snapshot, this.#nodes)
          this.askAgain()
        })
      }
    }
    // Only a store that is whole may say that a node is gone.
    if (allWhole && fleet.nodes.length > 0) this.#nodes = fleet.nodes
    if (isLedgerRound) await marks.flush()
    if (trouble !== null && trouble !== undefined) throw trouble
  }

  /** The operator's decision; see `Recovery.force`. Null when there was nothing to recover. */
  async recover(saleId: string): Promise<Version | null> {
    const { ledger, port, recovery, rules } = this.#parts
    const [sale, snapshot] = await Promise.all([ledger.sale(saleId), port.sales.read(saleId, rules)])
    if (sale !== null && recovery.isWhole(sale, snapshot)) return null
    const version = await recovery.force(saleId, this.#nodes)
    // Its counters are what its orders come to now.
    if (recovery.canRecount) this.#overran.delete(saleId)
    await this.#parts.acts.restore(saleId)
    this.askAgain()
    return version
  }

  /** Another process that came first counts as well; see {@link SaleRounds.overran}. */
  async #recount(saleId: string, snapshot: SaleSnapshot): Promise<boolean> {
    const { recovery, acts } = this.#parts
    try {
      if (!(await recovery.recount(saleId, snapshot, this.#nodes))) return false
      await acts.restore(saleId)
      return true
    } catch (error) {
      if (error instanceof OperationError && error.code === 'lost_race') return true
      throw error
    }
  }

  /** A look from before the pause still shows it open. */
  #forgetPause(saleId: string, { state, version }: SaleSnapshot): void {
    const paused = this.#paused.get(saleId)
    if (paused === undefined || state !== 'open') return
    if (compareVersions(version, paused.version) > 0) this.#paused.delete(saleId)
  }

  async #stopOverrun(saleId: string, snapshot: SaleSnapshot): Promise<void> {
    const { recovery, acts, monotonicMs, log } = this.#parts
    if (snapshot.unitedEra > (this.#overran.get(saleId) ?? 0)) {
      this.#recountedAtMs.set(saleId, monotonicMs())
      this.#overran.delete(saleId)
      return
    }
    const recountedAtMs = this.#recountedAtMs.get(saleId) ?? Number.NEGATIVE_INFINITY
    if (recovery.canRecount && monotonicMs() - recountedAtMs >= OVERRUN_AGAIN_MS) {
      if (!(await this.#recount(saleId, snapshot))) return
      this.#recountedAtMs.set(saleId, monotonicMs())
      this.askAgain()
    } else if (snapshot.state === 'open') {
      const { version } = await acts.change(saleId, 'pause')
      this.#paused.set(saleId, { saleId, version })
      log.error({ saleId }, 'ALARM: the sale is paused, for it sells more than the ledger has room for: audit it')
    }
    this.#overran.delete(saleId)
  }

  async #askLedger(fleet: FleetSnapshot): Promise<void> {
    const { ledger, marks, acts, monotonicMs } = this.#parts
    const askedAtMs = monotonicMs()
    this.#sales = await ledger.sales()
    this.#askedLedgerAtMs = askedAtMs
    marks.learn(this.#sales)
    const known = new Set(this.#sales.map(({ definition }) => definition.id))
    const strangers = fleet.saleIds.filter((saleId) => !known.has(saleId))
    if (strangers.length > 0) await acts.adopt(strangers)
  }

  async #askDurability(isDue: boolean): Promise<void> {
    if (!isDue && this.#durability !== null) return
    const { durable, fingerprint } = await this.#parts.port.durability()
    this.#durability = { durable: durable ?? this.#parts.declaredDurable, fingerprint }
  }

  /** What may take long goes on beside the rounds, each thing once at a time. */
  #background(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name)) return
    const done = work()
      .catch((error: unknown) => this.#parts.log.error({ err: error }, `could not ${name}`))
      .finally(() => this.#underWay.delete(name))
    this.#underWay.set(name, done)
  }
}

/** These, and those known before that are not among them. */
function withThose(nodes: readonly FleetNode[], before: readonly FleetNode[]): readonly FleetNode[] {
  const ids = new Set(nodes.map(({ id }) => id))
  return [...nodes, ...before.filter(({ id }) => !ids.has(id))]
}
