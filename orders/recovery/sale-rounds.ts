/**
 * Looks at every sale of the ledger about five times a second: raises the watermark of those that sell, recovers those
 * that do not, and completes what an operator's act left half done.
 */
import type { Log } from '../../runtime/log.ts'
import { startRounds, type Rounds } from '../../runtime/rounds.ts'
import type { QuotaRules, Version } from '../../stock/core/words.ts'
import type { FleetNode, FleetSnapshot, StockPort } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import type { SaleActs } from '../sales/sale-acts.ts'
import type { Marks } from './marks.ts'
import type { Recovery } from './recovery.ts'

export interface SaleRoundsParts {
  readonly port: StockPort
  readonly ledger: Ledger
  readonly rules: QuotaRules
  readonly marks: Marks
  readonly recovery: Recovery
  readonly acts: Pick<SaleActs, 'complete' | 'adopt' | 'restore'>
  readonly declaredDurable: boolean
  readonly log: Log
  readonly monotonicMs: () => number
  readonly everyMs?: number
}

/** How often the ledger hears of marks, and says which sales there are, by itself. */
const LEDGER_EVERY_MS = 1000

export class SaleRounds {
  readonly #parts: SaleRoundsParts
  #rounds: Rounds | null = null
  #sales: readonly LedgerSale[] = []
  #askedLedgerAtMs = Number.NEGATIVE_INFINITY
  #durability: { readonly durable: boolean; readonly fingerprint: string } | null = null
  /** Nodes to ask, with their addresses. A store that comes back behind may lack the very nodes that know more. */
  #nodes: readonly FleetNode[] = []
  readonly #underWay = new Map<string, Promise<void>>()

  constructor(parts: SaleRoundsParts) {
    this.#parts = parts
  }

  start(): void {
    this.#rounds = startRounds('sales', this.#parts.everyMs ?? 200, () => this.round(), this.#parts.log)
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

  async round(): Promise<void> {
    const { port, rules, recovery, marks, acts } = this.#parts
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
        if (this.#durability !== null) marks.note(saleId, snapshot.version, this.#durability)
        if (isLedgerRound) this.#background(`complete ${saleId}`, () => acts.complete(sale, snapshot, fleet))
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
    await this.#parts.acts.restore(saleId)
    this.askAgain()
    return version
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
