/**
 * Brings sales back after the store began another life. A sale is judged by `reopen.ts` as soon as every live node has
 * answered, or a second has passed; one that may not be reopened stays as it is, with its reasons kept for `status`,
 * and is looked at again with every round: nothing is lost by asking.
 *
 * To begin anew the ledger's era is moved first, by compare-and-set, so that nothing read from the old life of the
 * store comes into the ledger any more; then the store is certified for it, by compare-and-set on the version that it
 * was judged by. Of several processes that recover a sale one wins each step, and the others look again. A crash
 * between the two leaves the eras apart, which is a reason to begin anew.
 */
import type { AskNode } from '../../http/node-report.ts'
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { compareVersions, type QuotaRules, type Version } from '../../stock/core/words.ts'
import type { FleetNode, SaleSnapshot, SettleItem, StockPort } from '../../stock/port.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import type { Marks } from './marks.ts'
import { missingInStore } from './missing.ts'
import { decideReopen, floorSeqOf, show, type NodeTestimony, type ReopenCase, type ReopenDecision } from './reopen.ts'

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
}

/** A sale that does not sell, and why. */
export interface OpenCase {
  readonly saleId: string
  readonly sinceMs: number
  readonly reasons: readonly string[]
}

export class Recovery {
  readonly #parts: RecoveryParts
  readonly #cases = new Map<string, OpenCase>()
  /** By sale and node: the most that each node said in the open case. */
  readonly #heard = new Map<string, Map<string, NodeTestimony>>()

  constructor(parts: RecoveryParts) {
    this.#parts = parts
  }

  cases(): readonly OpenCase[] {
    return [...this.#cases.values()]
  }

  caseOf(saleId: string): OpenCase | null {
    return this.#cases.get(saleId) ?? null
  }

  /** True when the sale sells, and ledger and store agree on its era, so that nothing has to be recovered. */
  isWhole(sale: LedgerSale, snapshot: SaleSnapshot | null): boolean {
    const saleId = sale.definition.id
    const mark = this.#parts.marks.get(saleId)
    const behind = snapshot !== null && mark !== null && compareVersions(snapshot.version, mark) < 0
    const whole = snapshot !== null && snapshot.certified && !behind && snapshot.version.era === sale.era
    if (whole && this.#cases.has(saleId)) this.#parts.log.info({ saleId }, 'the sale is whole')
    if (whole) this.#closeCase(saleId)
    return whole
  }

  /** Looks at one sale that is not whole, and reopens it if nothing can be missing. */
  async look(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<void> {
    try {
      await this.#look(saleId, snapshot, nodes)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const sinceMs = this.#cases.get(saleId)?.sinceMs ?? this.#parts.monotonicMs()
      this.#cases.set(saleId, { saleId, sinceMs, reasons: [`it could not be looked at: ${why}`] })
      throw error
    }
  }

  async #look(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<void> {
    const { ledger, marks, port, log } = this.#parts
    const sinceMs = this.#cases.get(saleId)?.sinceMs ?? this.#parts.monotonicMs()
    if (!this.#cases.has(saleId)) this.#cases.set(saleId, { saleId, sinceMs, reasons: ['it is being looked at'] })
    // A copy restored in place still shows the certificate of the life it was copied from. Any call that carries
    // what was seen before makes the store find out; this one does nothing else.
    const seen = marks.get(saleId)
    if (snapshot?.certified === true && seen !== null) await port.sales.settle(saleId, [NO_ORDER], seen)

    const testimonies = await this.#hearNodes(saleId, nodes)
    const sale = await ledger.sale(saleId)
    if (sale === null) return
    marks.learn([sale])
    // It may have been opened since this round last heard of the ledger.
    if (this.isWhole(sale, snapshot)) return
    // Asked now: what an earlier life of the store said of itself is no evidence for this one.
    const durability = await port.durability()
    const facts: ReopenCase = {
      store: snapshot,
      mark: marks.get(saleId),
      nodes: testimonies,
      durability: { durable: durability.durable ?? this.#parts.declaredDurable, faults: durability.faults },
      missing: [],
      askedMs: this.#parts.monotonicMs() - sinceMs,
    }
    const decision = await this.#decide(facts, sale, snapshot)
    if (decision.decision === 'reopen') {
      await this.#beginAndOpen(sale, decision.expected, decision.floorSeq)
      return
    }
    const before = this.#cases.get(saleId)
    this.#cases.set(saleId, { saleId, sinceMs, reasons: decision.reasons })
    if (decision.decision === 'stay' && before?.reasons.join() !== decision.reasons.join()) {
      log.error({ saleId, reasons: decision.reasons }, 'the sale stays recovering: an operator must decide')
    }
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
    if (snapshot === null) {
      const message = `the store has no record of sale "${saleId}": there is nothing to recover. Restore the store's data first`
      throw new OperationError('no_record', message, { saleId })
    }
    const testimonies = await this.#hearNodes(saleId, nodes)
    const mark = this.#parts.marks.get(saleId)
    const floorSeq = floorSeqOf({ store: snapshot, mark, nodes: testimonies })
    this.#parts.log.warn({ saleId, mark, store: snapshot.version }, 'an operator recovers the sale as the store has it')
    return this.#beginAndOpen(sale, snapshot.version, floorSeq)
  }

  async #beginAndOpen(sale: LedgerSale, expected: Version, floorSeq: number): Promise<Version> {
    const { ledger, marks, port, log } = this.#parts
    const saleId = sale.definition.id
    const above = Math.max(expected.era, marks.get(saleId)?.era ?? 0) + 1
    const begun = await ledger.beginEra(saleId, sale.era, above)
    if (begun.outcome !== 'begun') throw lostRace(saleId)
    const reply = await port.sales.certify(saleId, expected, begun.era, floorSeq)
    if (reply.outcome === 'no_such_sale') throw new OperationError('no_record', `sale "${saleId}" is gone`, { saleId })
    if (reply.outcome === 'lost_race') throw lostRace(saleId)
    const forMs = this.#parts.monotonicMs() - (this.#cases.get(saleId)?.sinceMs ?? this.#parts.monotonicMs())
    this.#closeCase(saleId)
    const { fingerprint, durable } = await port.durability()
    marks.note(saleId, reply.version, { fingerprint, durable: durable ?? this.#parts.declaredDurable })
    await marks.flush()
    log.info({ saleId, version: show(reply.version), forMs }, 'the sale is open again under a new era')
    return reply.version
  }

  #closeCase(saleId: string): void {
    this.#cases.delete(saleId)
    this.#heard.delete(saleId)
  }

  /**
   * Asks every node, whatever the fleet calls it: a node that was declared dead meanwhile has still seen what it has
   * seen. What was once heard counts as long as the case is open, and raises the mark, so that neither the death of
   * the witness nor that of this coordinator makes a store look whole that is not. Only live nodes are waited for.
   */
  async #hearNodes(saleId: string, nodes: readonly FleetNode[]): Promise<NodeTestimony[]> {
    const heard = this.#heard.get(saleId) ?? new Map<string, NodeTestimony>()
    this.#heard.set(saleId, heard)
    await Promise.all(
      nodes.map(async ({ id, adminUrl, state }) => {
        const report = await this.#parts.askNode(adminUrl)
        const sale = report?.sales.find((candidate) => candidate.saleId === saleId) ?? null
        const known = heard.get(id)?.reply?.known ?? null
        if (sale !== null) {
          if (known === null || compareVersions(sale, known) >= 0) heard.set(id, { nodeId: id, reply: { known: sale } })
          this.#raiseMark(saleId, sale)
        } else if (report !== null && known === null) heard.set(id, { nodeId: id, reply: { known: null } })
        else if (!heard.has(id) && (state === 'live' || state === 'draining')) {
          heard.set(id, { nodeId: id, reply: null })
        }
      }),
    )
    await this.#parts.marks.flush()
    return [...heard.values()]
  }

  /** What a node has seen says nothing about durability: that stays as it was known, and unknown is no. */
  #raiseMark(saleId: string, version: Version): void {
    const { marks } = this.#parts
    const mark = marks.get(saleId)
    if (mark !== null && compareVersions(version, mark) > 0) marks.note(saleId, version, mark)
  }
}

function lostRace(saleId: string): OperationError {
  const message = `another process began a new era of "${saleId}" first, or the store changed meanwhile: look again`
  return new OperationError('lost_race', message, { saleId })
}
