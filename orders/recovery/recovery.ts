/**
 * Brings sales back after the store began another life. A sale is judged by `reopen.ts` as soon as every live node has
 * answered, or a second has passed; one that may not be reopened stays as it is, with its reasons kept for `status`,
 * and is looked at again with every round: nothing is lost by asking.
 *
 * A store that may have lost something is opened by itself only after a union (`union.ts`) in which nothing can be
 * missing: always with `ack: ledger`, else when every node that sold answers for what it told (`witnesses.ts`). The
 * operator's decision opens it after a union with whatever is still known.
 *
 * A store that lost nothing and sold more than the ledger has room for has wrong counters. It is put together the same
 * way, which makes its counters what its orders come to.
 *
 * To begin anew the ledger's era is moved first, by compare-and-set, so that nothing read from the old life of the
 * store comes into the ledger any more; then the store is certified for it, by compare-and-set on the version that it
 * was judged by. Of several processes that recover a sale one wins each step, and the others look again. A crash
 * between the two leaves the eras apart, which is a reason to begin anew. A union takes long, so others wait for whoever
 * is at it (`rival.ts`).
 */
import type { AskJournal } from '../../http/node-journal.ts'
import type { AskNode } from '../../http/node-report.ts'
import { assert } from '../../runtime/assert.ts'
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { compareVersions, type Order, type QuotaRules, type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import { stateAt } from '../../stock/core/sale-record.ts'
import type { UnitedNode } from '../../stock/core/union.ts'
import type { FleetNode, SaleSnapshot, SettleItem, StockPort } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import { Cases, type OpenCase, type Recovered } from './cases.ts'
import { Hearing, type Reports } from './hearing.ts'
import type { Marks } from './marks.ts'
import { missingInStore } from './missing.ts'
import {
  ASK_NODES_MS_MAX,
  decideReopen,
  floorSeqOf,
  hasSeenTheSale,
  reasonsOfNode,
  show,
  type ReopenCase,
  type ReopenDecision,
} from './reopen.ts'
import { isRivalAtWork } from './rival.ts'
import { lostRace, type United, uniteSale } from './union.ts'
import { type LastSeen, unaccounted } from './witnesses.ts'

/** No order has this id, so settling it changes nothing. */
const NO_ORDER: SettleItem = { orderId: '-', fate: { state: 'released', reason: 'expired' }, atMs: 0 }

export type Durability = Awaited<ReturnType<StockPort['durability']>>

export interface RecoveryParts {
  readonly port: StockPort
  readonly ledger: Ledger
  readonly marks: Marks
  readonly rules: QuotaRules
  readonly askNode: AskNode
  readonly log: Log
  readonly monotonicMs: () => number
  /** `redis.durable: true`: the operator vouches for a store that forbids asking. */
  readonly declaredDurable: boolean
  /** Without it nothing is ever put together: the store counts as it is, or stays closed. */
  readonly union?: UnionRules
}

export interface UnionRules {
  /** `ack: ledger`: nobody was told of an order that the ledger does not have. */
  readonly allInLedger: boolean
  readonly askJournal: AskJournal
}

interface Gap {
  readonly isWaiting: boolean
  readonly reasons: readonly string[]
}

interface UnionCase {
  readonly facts: Pick<ReopenCase, 'store' | 'mark' | 'nodes'>
  readonly nodes: readonly FleetNode[]
  readonly reports: Reports
  readonly how: 'union' | 'operator' | 'recount'
}

interface Answering {
  readonly fingerprint: string
  readonly answeredMs: number
  /** When it was last looked at. */
  readonly atMs: number
}

/** Looks follow each other closer than that, unless the store keeps one waiting. */
const LOOKS_APART_MS_MAX = 400

export class Recovery {
  readonly #parts: RecoveryParts
  readonly #cases: Cases
  readonly #hearing: Hearing
  /** By sale: for how long this life of the store has answered. Nodes that it lacks come to it only meanwhile. */
  readonly #answering = new Map<string, Answering>()
  /** By sale: the era under which this process last began to put it together. */
  readonly #begun = new Map<string, number>()
  /** By sale: as it was when it last sold. */
  readonly #lastSeen = new Map<string, LastSeen & Pick<SaleSnapshot, 'fares'>>()

  constructor(parts: RecoveryParts) {
    this.#parts = parts
    this.#cases = new Cases(parts.monotonicMs, parts.log)
    this.#hearing = new Hearing(parts.askNode, parts.marks)
  }

  cases(): readonly OpenCase[] {
    return this.#cases.all()
  }

  caseOf(saleId: string): OpenCase | null {
    return this.#cases.get(saleId)
  }

  /** The newest last. */
  recovered(): readonly Recovered[] {
    return this.#cases.recovered()
  }

  get count(): number {
    return this.#cases.count
  }

  /** Of all sales together, the open cases included. */
  get withoutSaleMs(): number {
    return this.#cases.withoutSaleMs
  }

  forMs(saleId: string): number {
    return this.#cases.forMs(saleId)
  }

  /** A look at a sale that is whole. */
  sawSelling(saleId: string, { version, nodes, fares }: SaleSnapshot): void {
    this.#lastSeen.set(saleId, { atMs: this.#parts.monotonicMs(), version, nodes, fares })
  }

  /** True when the sale sells, and ledger and store agree on its era, so that nothing has to be recovered. */
  isWhole(sale: LedgerSale, snapshot: SaleSnapshot | null): boolean {
    const saleId = sale.definition.id
    const mark = this.#parts.marks.get(saleId)
    const behind = snapshot !== null && mark !== null && compareVersions(snapshot.version, mark) < 0
    const whole = snapshot !== null && snapshot.certified && !behind && snapshot.version.era === sale.era
    if (!whole) return false
    this.#cases.seen(saleId, snapshot.version, snapshot.unitedEra)
    if (this.#cases.get(saleId) !== null) this.#parts.log.info({ saleId }, 'the sale is whole')
    this.#closeCase(saleId)
    return true
  }

  /** Looks at one sale that is not whole, and reopens it if nothing can be missing. */
  async look(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<void> {
    try {
      await this.#look(saleId, snapshot, nodes)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#cases.note(saleId, [`it could not be looked at: ${why}`])
      throw error
    }
  }

  async #look(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<void> {
    const { ledger, marks, port, rules } = this.#parts
    if (this.#cases.get(saleId) === null) this.#cases.note(saleId, ['it is being looked at'])
    // A copy restored in place still shows the certificate of the life it was copied from. Any call that carries
    // what was seen before makes the store find out; this one does nothing else.
    const seen = marks.get(saleId)
    if (snapshot?.certified === true && seen !== null) await port.sales.settle(saleId, [NO_ORDER], seen)

    const { testimonies, reports } = await this.#hearing.hear(saleId, nodes)
    const sale = await ledger.sale(saleId)
    if (sale === null) return
    marks.learn([sale])
    // Nodes are asked for long: it may have been opened since.
    const present = await port.sales.read(saleId, rules)
    if (this.isWhole(sale, present)) return
    if (present !== null && isRivalAtWork(present, this.#begun.get(saleId) ?? 0)) {
      this.#cases.note(saleId, ['another orders process puts it together'])
      return
    }
    // Asked now: what an earlier life of the store said of itself is no evidence for this one.
    const durability = await port.durability()
    const facts: ReopenCase = {
      store: present,
      mark: marks.get(saleId),
      nodes: testimonies,
      durability: { durable: durability.durable ?? this.#parts.declaredDurable, faults: durability.faults },
      missing: [],
      askedMs: this.#answeringMs(saleId, durability.fingerprint),
    }
    const decision = await this.#decide(facts, sale, present)
    if (decision.decision === 'reopen' && (present?.uniting ?? null) === null) {
      await this.#reopen(sale, decision)
      return
    }
    const gap = decision.decision === 'wait' ? null : this.#gap(facts, sale, nodes, reports)
    if (gap !== null && !gap.isWaiting && gap.reasons.length === 0) {
      await this.#unite(sale, { facts, nodes, reports, how: 'union' })
      return
    }
    const reasons = [...(decision.decision === 'reopen' ? [] : decision.reasons), ...(gap?.reasons ?? [])]
    this.#cases.note(saleId, reasons)
    if (decision.decision !== 'wait' && gap?.isWaiting !== true) this.#cases.callOperator(saleId)
  }

  /** What a union could not bring back, as reasons; null where there are no unions. */
  #gap(facts: ReopenCase, sale: LedgerSale, nodes: readonly FleetNode[], reports: Reports): Gap | null {
    const { union } = this.#parts
    if (union === undefined) return null
    const silent = facts.nodes.filter(({ reply }) => reply === null)
    if (silent.length > 0 && facts.askedMs < ASK_NODES_MS_MAX) {
      return { isWaiting: true, reasons: silent.map(({ nodeId }) => `node ${nodeId} has not answered yet`) }
    }
    const { durable, faults } = facts.durability
    // With all in the ledger nothing that was told needs the store's disk.
    if (union.allInLedger) return { isWaiting: false, reasons: [] }
    // A store that is behind may lack the very nodes that know more.
    if (!facts.nodes.some(hasSeenTheSale) && facts.askedMs < ASK_NODES_MS_MAX) {
      return { isWaiting: true, reasons: ['no node that has seen the sale has answered yet'] }
    }
    const stranger = strangerOf(facts)
    if (stranger !== null && facts.askedMs < ASK_NODES_MS_MAX) return { isWaiting: true, reasons: [stranger] }
    const reasons = durable ? this.#unaccounted(sale, nodes, reports) : faults
    return { isWaiting: false, reasons: stranger === null ? reasons : [...reasons, stranger] }
  }

  #unaccounted(sale: LedgerSale, nodes: readonly FleetNode[], reports: Reports): string[] {
    const saleId = sale.definition.id
    return unaccounted({
      lastSeen: this.#lastSeen.get(saleId) ?? null,
      sinceMs: this.#cases.sinceMs(saleId),
      fleet: nodes.filter(({ state }) => state === 'live' || state === 'draining').map(({ id }) => id),
      journals: new Map([...reports].map(([id, report]) => [id, report?.journalSince ?? null])),
      taken: sale.taken,
    })
  }

  /** The ledger's orders are many, so they are looked for only when nothing else speaks against opening. */
  async #decide(facts: ReopenCase, sale: LedgerSale, snapshot: SaleSnapshot | null): Promise<ReopenDecision> {
    const decision = decideReopen(facts)
    if (decision.decision !== 'reopen' || snapshot === null) return decision
    const { ledger, port } = this.#parts
    return decideReopen({ ...facts, missing: await missingInStore(sale, snapshot, ledger, port.sales) })
  }

  /** The operator's decision: what the store holds counts, whatever is missing. */
  async force(saleId: string, nodes: readonly FleetNode[]): Promise<Version> {
    const { ledger, port, rules } = this.#parts
    const [sale, snapshot] = await Promise.all([ledger.sale(saleId), port.sales.read(saleId, rules)])
    if (sale === null) throw new OperationError('no_such_sale', `no sale has the id "${saleId}"`, { saleId })
    if (snapshot === null && this.#parts.union === undefined) {
      const message = `the store has no record of sale "${saleId}": there is nothing to recover. Restore the store's data first`
      throw new OperationError('no_record', message, { saleId })
    }
    const { testimonies, reports } = await this.#hearing.hear(saleId, nodes)
    const mark = this.#parts.marks.get(saleId)
    const facts = { store: snapshot, mark, nodes: testimonies }
    this.#parts.log.warn({ saleId, mark, store: snapshot?.version }, 'an operator recovers the sale')
    if (this.#parts.union !== undefined) return this.#unite(sale, { facts, nodes, reports, how: 'operator' })
    return this.#beginAndOpen(sale, snapshot?.version ?? VERSION_ZERO, floorSeqOf(facts))
  }

  /**
   * The store's counters are set to what its orders come to, under a new era. For a sale that is whole; it does not sell
   * meanwhile. False when it is not whole (any more): then it is for {@link look}; and while it is stopped in the store
   * alone, which the ledger is about to hear: what comes out has the ledger's state.
   */
  async recount(saleId: string, snapshot: SaleSnapshot, nodes: readonly FleetNode[]): Promise<boolean> {
    const sale = await this.#parts.ledger.sale(saleId)
    if (sale === null || !this.#canBeCounted(sale, snapshot)) return false
    const { testimonies, reports } = await this.#hearing.hear(saleId, nodes)
    // A store that has lost orders sells their tickets again. What was heard counts against the store as it is after it.
    const present = await this.#parts.port.sales.read(saleId, this.#parts.rules)
    if (present === null || !this.#canBeCounted(sale, present)) return false
    const reasons = ['it sold more than the ledger has room for, and is counted anew']
    this.#cases.note(saleId, reasons)
    this.#parts.log.error({ saleId, reasons }, 'ALARM: the counters of the store are wrong')
    const facts = { store: present, mark: this.#parts.marks.get(saleId), nodes: testimonies }
    await this.#unite(sale, { facts, nodes, reports, how: 'recount' })
    return true
  }

  #canBeCounted(sale: LedgerSale, snapshot: SaleSnapshot): boolean {
    const isStoppedAlone = snapshot.state !== 'open' && snapshot.state !== stateAt(sale, snapshot.nowMs)
    return this.isWhole(sale, snapshot) && !isStoppedAlone
  }

  get canRecount(): boolean {
    return this.#parts.union !== undefined
  }

  async #beginEra(sale: LedgerSale, storeEra: number): Promise<number> {
    const saleId = sale.definition.id
    const above = Math.max(storeEra, this.#parts.marks.get(saleId)?.era ?? 0) + 1
    const begun = await this.#parts.ledger.beginEra(saleId, sale.era, above)
    if (begun.outcome !== 'begun') throw lostRace(saleId)
    return begun.era
  }

  async #unite(sale: LedgerSale, { facts, nodes, reports, how }: UnionCase): Promise<Version> {
    const { ledger, port, union, monotonicMs } = this.#parts
    const saleId = sale.definition.id
    assert(union !== undefined, 'a union has rules')
    const lost = union.allInLedger ? [] : this.#mayBeLost(sale, { facts, nodes, reports, how })
    const era = await this.#beginEra(sale, facts.store?.version.era ?? 0)
    this.#begun.set(saleId, era)
    const told = async (): Promise<readonly Order[]> => {
      const answers = await Promise.all(nodes.map(({ adminUrl }) => union.askJournal(adminUrl, saleId)))
      const silent = nodes.filter(({ id }, at) => answers[at] === null && reports.has(id))
      if (silent.length > 0 && how === 'union' && !union.allInLedger) {
        throw new OperationError('journal_missing', `node ${silent[0]?.id} does not answer for what it told any more`)
      }
      return answers.flatMap((journal) => journal?.orders ?? [])
    }
    const floorSeq = floorSeqOf(facts)
    // Where orders may be lost, what nodes confirmed and the store does not know is the evidence of it.
    const known = lost.length > 0 || how === 'recount' ? [] : unitedNodes(reports)
    const report = await uniteSale(
      { ledger, store: port.sales, monotonicMs },
      {
        sale,
        era,
        floorSeq,
        nodes: known,
        told,
        onUnited: (united) => this.#tellUnion(saleId, era, how, united, lost),
      },
    )
    this.#cases.opened(saleId, report.version)
    await this.#noteOpen(saleId, report.version)
    return report.version
  }

  #mayBeLost(sale: LedgerSale, { facts: { store, nodes: testimonies }, nodes, reports, how }: UnionCase): string[] {
    if (how !== 'recount') return this.#unaccounted(sale, nodes, reports)
    // A store that is whole has lost nothing, unless somebody made a change that it does not have.
    return store === null ? [] : testimonies.flatMap((node) => reasonsOfNode(store, node))
  }

  /** Before the store is opened: this process may not hear of that, or end. */
  #tellUnion(saleId: string, era: number, how: Recovered['how'], united: United, lost: readonly string[]): void {
    const { log } = this.#parts
    const { reasserted, fromJournals, conflicts, setAside } = united
    const lastFares = this.#lastSeen.get(saleId)?.fares ?? []
    const fares = united.fares.map(({ fareId, held, paid }) => {
      const before = lastFares.find((fare) => fare.fareId === fareId)
      return { fareId, before: before === undefined ? null : before.held + before.paid, now: held + paid }
    })
    if (conflicts.length > 0) log.error({ saleId, orderIds: conflicts }, 'ALARM: orders that do not fit the stock')
    if (setAside.length > 0) log.error({ saleId, orderIds: setAside }, 'ALARM: orders were set aside')
    if (lost.length > 0) log.error({ saleId, reasons: lost, fares }, 'ALARM: acknowledged orders may be lost')
    const counts = { reasserted, fromJournals, conflicts: conflicts.length }
    log.info({ saleId, how, era, ...counts }, 'the sale is put together again')
    this.#cases.opens(saleId, era, { saleId, how, ...counts, unaccounted: lost, fares })
  }

  /** What the store was told, or somebody saw of it, is noted under the era before: until that has moved. */
  async #reopen(sale: LedgerSale, { expected, floorSeq }: { expected: Version; floorSeq: number }): Promise<void> {
    const saleId = sale.definition.id
    const era = await this.#beginEra(sale, expected.era)
    const present = await this.#parts.ledger.sale(saleId)
    if (present !== null) this.#parts.marks.learn([present])
    const mark = this.#parts.marks.get(saleId)
    if (mark !== null && compareVersions(mark, expected) > 0) throw lostRace(saleId)
    await this.#open(saleId, era, expected, floorSeq)
  }

  async #beginAndOpen(sale: LedgerSale, expected: Version, floorSeq: number): Promise<Version> {
    return this.#open(sale.definition.id, await this.#beginEra(sale, expected.era), expected, floorSeq)
  }

  async #open(saleId: string, era: number, expected: Version, floorSeq: number): Promise<Version> {
    const { port } = this.#parts
    const none = { reasserted: 0, fromJournals: 0, conflicts: 0, unaccounted: [], fares: [] }
    this.#cases.opens(saleId, era, { saleId, how: 'whole', ...none })
    const reply = await port.sales.certify(saleId, expected, era, floorSeq)
    if (reply.outcome === 'no_such_sale') throw new OperationError('no_record', `sale "${saleId}" is gone`, { saleId })
    if (reply.outcome === 'lost_race') throw lostRace(saleId)
    this.#cases.opened(saleId, reply.version)
    await this.#noteOpen(saleId, reply.version)
    return reply.version
  }

  async #noteOpen(saleId: string, version: Version): Promise<void> {
    const { port, marks, declaredDurable } = this.#parts
    this.#closeCase(saleId)
    const { fingerprint, durable } = await port.durability()
    marks.note(saleId, version, { fingerprint, durable: durable ?? declaredDurable })
    await marks.flush()
  }

  #answeringMs(saleId: string, fingerprint: string): number {
    const nowMs = this.#parts.monotonicMs()
    const before = this.#answering.get(saleId)
    const isSame = before?.fingerprint === fingerprint
    // Between two looks so far apart the store may have stood still, and no node could come.
    const answeredMs = isSame ? before.answeredMs + Math.min(nowMs - before.atMs, LOOKS_APART_MS_MAX) : 0
    this.#answering.set(saleId, { fingerprint, answeredMs, atMs: nowMs })
    return answeredMs
  }

  #closeCase(saleId: string): void {
    this.#cases.close(saleId)
    this.#hearing.forget(saleId)
    this.#answering.delete(saleId)
  }
}

function unitedNodes(reports: Reports): UnitedNode[] {
  return [...reports].flatMap(([id, report]) => {
    if (report === null) return []
    return [{ id, epoch: report.epoch, confirmed: report.fares.reduce((sum, { confirmed }) => sum + confirmed, 0) }]
  })
}

/** Whoever has seen more than the store has may have told buyers of it; null when all who answer account for that. */
function strangerOf({ store, mark, nodes }: Pick<ReopenCase, 'store' | 'mark' | 'nodes'>): string | null {
  if (store === null || compareVersions(store.sought, store.version) <= 0) return null
  const known = [mark, ...nodes.map(({ reply }) => reply?.known ?? null)]
  return known.some((version) => version !== null && compareVersions(version, store.sought) >= 0)
    ? null
    : `a caller at ${show(store.sought)} is none of the nodes that answer`
}
