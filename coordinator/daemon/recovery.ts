/**
 * Brings sales and the fleet's record back after the store began another life. A sale is judged by `reopen.ts` as
 * soon as every live node has answered, or a second has passed; one that may not be reopened stays as it is, with
 * its reasons kept for `status`, and is looked at again with every cycle: nothing is lost by asking.
 */
import type { FleetNode, SaleSnapshot, SettleItem, StockPort } from '../../stock/port.ts'
import { compareVersions, type Version } from '../../stock/core/words.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { AskNode } from '../operations/node-report.ts'
import type { EraBook } from './eras.ts'
import type { Log } from '../../runtime/log.ts'
import type { MarkBook } from './marks.ts'
import { decideReopen, floorSeqOf, show, type NodeTestimony, type ReopenCase } from './reopen.ts'

/** No order has this id, so settling it changes nothing. */
const NO_ORDER: SettleItem = { orderId: '-', fate: { state: 'released', reason: 'expired' }, atMs: 0 }

export type Durability = Awaited<ReturnType<StockPort['durability']>>

export interface RecoveryParts {
  readonly port: StockPort
  readonly eras: EraBook
  readonly marks: MarkBook
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

  /** The fleet's record only tunes, so it is always certified anew. */
  async certifyFleet(expectedEra: number): Promise<void> {
    const era = await this.#parts.eras.allot(expectedEra)
    const { outcome } = await this.#parts.port.fleet.certify(expectedEra, era)
    this.#parts.log.info({ era, outcome }, 'the fleet record was certified anew')
  }

  /** True when the sale sells, so that nothing has to be recovered. */
  isWhole(saleId: string, snapshot: SaleSnapshot | null): boolean {
    const mark = this.#parts.marks.get(saleId)
    const behind = snapshot !== null && mark !== null && compareVersions(snapshot.version, mark) < 0
    const whole = snapshot !== null && snapshot.certified && !behind
    if (whole && this.#cases.has(saleId)) this.#parts.log.info({ saleId }, 'the sale is whole')
    if (whole) this.#closeCase(saleId)
    return whole
  }

  /** Looks at one sale that is not whole, and reopens it if nothing can be missing. */
  async look(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<void> {
    const { marks, port, log } = this.#parts
    await marks.refresh()
    const sinceMs = this.#cases.get(saleId)?.sinceMs ?? this.#parts.monotonicMs()
    if (!this.#cases.has(saleId)) this.#cases.set(saleId, { saleId, sinceMs, reasons: ['it is being looked at'] })
    // A copy restored in place still shows the certificate of the life it was copied from. Any call that carries
    // what was seen before makes the store find out; this one does nothing else.
    const seen = marks.get(saleId)
    if (snapshot?.certified === true && seen !== null) await port.sales.settle(saleId, [NO_ORDER], seen)

    const testimonies = await this.#hearNodes(saleId, nodes)
    // Asked now: what an earlier life of the store said of itself is no evidence for this one.
    const durability = await port.durability()
    const facts: ReopenCase = {
      store: snapshot,
      mark: marks.get(saleId),
      nodes: testimonies,
      durability: { durable: durability.durable ?? this.#parts.declaredDurable, faults: durability.faults },
      askedMs: this.#parts.monotonicMs() - sinceMs,
    }
    const decision = decideReopen(facts)
    if (decision.decision === 'reopen') {
      await this.#certify(saleId, decision.expectedEra, decision.floorSeq)
      return
    }
    const before = this.#cases.get(saleId)
    this.#cases.set(saleId, { saleId, sinceMs, reasons: decision.reasons })
    if (decision.decision === 'stay' && before?.reasons.join() !== decision.reasons.join()) {
      log.error({ saleId, reasons: decision.reasons }, 'the sale stays recovering: an operator must decide')
    }
  }

  /** The operator's decision: what the store holds counts, whatever is missing. */
  async force(saleId: string, snapshot: SaleSnapshot | null, nodes: readonly FleetNode[]): Promise<Version> {
    if (snapshot === null) {
      const message = `the store has no record of sale "${saleId}": there is nothing to recover. Restore the store's data first`
      throw new OperationError('no_record', message, { saleId })
    }
    const testimonies = await this.#hearNodes(saleId, nodes)
    const mark = this.#parts.marks.get(saleId)
    const floorSeq = floorSeqOf({ store: snapshot, mark, nodes: testimonies })
    this.#parts.log.warn({ saleId, mark, store: snapshot.version }, 'an operator recovers the sale as the store has it')
    return this.#certify(saleId, snapshot.version.era, floorSeq)
  }

  async #certify(saleId: string, expectedEra: number, floorSeq: number): Promise<Version> {
    const { eras, marks, port, log } = this.#parts
    const reply = await port.sales.certify(
      saleId,
      expectedEra,
      await eras.allot(this.#eraFloor(saleId, expectedEra)),
      floorSeq,
    )
    if (reply.outcome === 'no_such_sale') throw new OperationError('no_record', `sale "${saleId}" is gone`, { saleId })
    if (reply.outcome === 'lost_race') {
      throw new OperationError('lost_race', `another coordinator began era ${reply.version.era} of "${saleId}" first`)
    }
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

  #eraFloor(saleId: string, expectedEra: number): number {
    return Math.max(expectedEra, this.#parts.marks.get(saleId)?.era ?? 0)
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
