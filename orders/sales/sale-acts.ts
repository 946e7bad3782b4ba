/**
 * An operator's acts on sales: make, open, pause, close, set a stock, carry left-overs to another fare.
 *
 * The ledger owns a sale's definition, state and stock; the store sells by its own copy. What lets more be sold (a new
 * sale, opening, raising) is committed in the ledger first and then told the store; what stops selling (pausing,
 * closing, lowering) is done in the store first, where it acts at once. Done means both. A crash in between is
 * completed by {@link SaleActs.complete}; why it knows which way is told in `act-ledger.ts`.
 *
 * Acts of this process follow one another. Another process may act at the same time; every step is conditional, and
 * what two of them leave different is completed as well.
 */
import { randomBytes } from 'node:crypto'
import type { SaleFile } from '../../config/sale-file.ts'
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { nextState } from '../../stock/core/change.ts'
import { conservationFault, stateAt } from '../../stock/core/sale-record.ts'
import type { QuotaRules, SaleState, Version } from '../../stock/core/words.ts'
import type { ChangeReply, FleetSnapshot, SaleSnapshot, StateChange, StockPort } from '../../stock/port.ts'
import type { Acts } from '../ledger/act-ledger.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import type { Marks, Seen } from '../recovery/marks.ts'
import { refuseDifferent } from './difference.ts'

export interface SaleActsParts {
  readonly ledger: Ledger
  readonly acts: Acts
  readonly port: StockPort
  readonly rules: QuotaRules
  readonly marks: Marks
  readonly declaredDurable: boolean
  readonly log: Log
  /** Has nodes practise before a sale is opened by hand; must end soon, whatever they do. */
  readonly rehearse?: () => Promise<void>
}

export interface ActResult {
  readonly outcome: 'created' | 'changed' | 'unchanged'
  /** The store's version that has it. */
  readonly version: Version
}

const REFUSALS: Readonly<Record<string, string>> = {
  sale_closed: 'it is closed, and closing is final',
  sale_is_draft: 'it was never opened',
  below_held_and_paid: 'more tickets than that are held or paid',
  no_such_fare: 'it has no such fare',
}
const TRIES = 5
const STOCK_MAX = 1_000_000_000

export class SaleActs {
  readonly #parts: SaleActsParts
  #last: Promise<unknown> = Promise.resolve()
  /** Differences seen at the last look, by sale: only what stays is completed, for another process may be at it. */
  readonly #differences = new Map<string, string>()

  constructor(parts: SaleActsParts) {
    this.#parts = parts
  }

  /**
   * Makes the sale unless it is there. One that is there must be the same, and then nothing happens, its state
   * included.
   */
  create(file: SaleFile): Promise<ActResult> {
    return this.#inTurn(async () => {
      const { ledger, marks } = this.#parts
      let sale = await ledger.sale(file.id)
      if (sale === null && (await this.#read(file.id)) !== null) sale = await this.#adopt(file.id)
      if (sale !== null) refuseDifferent(file, sale.definition)
      const isNew = sale === null
      sale ??= (await ledger.createSale({ ...file, orderIdSecret: randomBytes(32).toString('hex') })).sale
      refuseDifferent(file, sale.definition)
      if ((await this.#read(file.id)) === null && (marks.get(file.id) !== null || sale.watermark.version.era > 0)) {
        const message = `sale "${file.id}" was made before, but the store has lost it: see "farebox status"`
        throw new OperationError('sale_lost', message, { mark: sale.watermark })
      }
      return { outcome: isNew ? 'created' : 'unchanged', version: await this.#ensureInStore(sale) }
    })
  }

  /** Opens (or resumes), pauses or closes. */
  change(saleId: string, change: StateChange): Promise<ActResult> {
    return this.#inTurn(async () => {
      const { acts, rehearse } = this.#parts
      const sale = await this.#known(saleId)
      const snapshot = await this.#selling(saleId)
      const state = stateAt(sale, snapshot.nowMs)
      const next = nextState(state, change)
      if (typeof next === 'object') throw refusal(saleId, change, next.refused)
      // A sale that was paused has sold a moment ago, and is wanted at once.
      if (change === 'open' && next !== 'unchanged' && state !== 'paused') await rehearse?.()
      const wanted = next === 'unchanged' ? sale.state : next
      const isFirstHere = change === 'open' && next !== 'unchanged'
      if (isFirstHere) await acts.beginState(saleId, wanted)
      // An opening that died may have left its mark. From here on the store is right where they differ.
      if (change !== 'open') await acts.told(saleId, 'state')
      const reply = await this.#told(saleId, (seen) => this.#parts.port.sales.change(saleId, change, seen))
      if (reply.outcome === 'refused') {
        // Closed in the store alone, by hand or by a crash: closing is final there, so here too.
        if (reply.why === 'sale_closed') await acts.followState(saleId, 'closed')
        throw refusal(saleId, change, reply.why)
      }
      if (change === 'open') await acts.told(saleId, 'state')
      else if (next !== 'unchanged') await acts.followState(saleId, wanted)
      const isChange = next !== 'unchanged' || reply.outcome === 'changed'
      return { outcome: isChange ? 'changed' : 'unchanged', version: reply.version }
    })
  }

  setStock(saleId: string, fareId: string, stock: number): Promise<ActResult> {
    return this.#inTurn(async () => {
      if (!Number.isSafeInteger(stock) || stock < 0 || stock > STOCK_MAX) {
        throw new OperationError('bad_request', `stock ${stock}: a whole number from 0 to ${STOCK_MAX} is expected`)
      }
      const { present } = this.#fareOf(await this.#known(saleId), fareId)
      await this.#selling(saleId)
      const { acts } = this.#parts
      if (stock > present) await acts.beginStock(saleId, fareId, stock)
      else if (stock < present) await acts.told(saleId, { stockOf: fareId })
      const reply = await this.#setInStore(saleId, fareId, stock)
      if (stock > present) await acts.told(saleId, { stockOf: fareId })
      else if (stock < present) await acts.followStock(saleId, fareId, stock)
      const isChange = stock !== present || reply.outcome === 'changed'
      return { outcome: isChange ? 'changed' : 'unchanged', version: reply.version }
    })
  }

  /**
   * Carries what remains of one fare to another, of the same sale or another. In the store the one is lowered before
   * the other is raised, so that there are never more tickets in sum than before.
   */
  transfer(from: FarePlace, to: FarePlace): Promise<{ readonly tickets: number; readonly version: Version }> {
    return this.#inTurn(async () => {
      if (from.saleId === to.saleId && from.fareId === to.fareId) {
        throw new OperationError('bad_request', 'a transfer is from one fare to another')
      }
      this.#fareOf(await this.#known(from.saleId), from.fareId)
      this.#fareOf(await this.#known(to.saleId), to.fareId)
      await this.#selling(to.saleId)
      for (let tries = 0; tries < TRIES; tries += 1) {
        const result = await this.#tryTransfer(from, to)
        if (result !== null) return result
      }
      throw new OperationError(
        'busy',
        `${from.fareId} of "${from.saleId}" sells too fast to be emptied: pause it first`,
      )
    })
  }

  /** Null when a ticket was sold in between, so that what remains is another number. */
  async #tryTransfer(from: FarePlace, to: FarePlace): Promise<{ tickets: number; version: Version } | null> {
    const { acts } = this.#parts
    const snapshot = await this.#selling(from.saleId)
    const fare = snapshot.fares.find(({ fareId }) => fareId === from.fareId)
    if (fare === undefined) throw refusal(from.saleId, 'the transfer', 'no_such_fare')
    if (fare.remaining <= 0) return { tickets: 0, version: snapshot.version }
    const transfer = {
      fromSale: from.saleId,
      fromFare: from.fareId,
      toSale: to.saleId,
      toFare: to.fareId,
      tickets: fare.remaining,
      fromStock: fare.stock - fare.remaining,
    }
    if (!(await acts.beginTransfer(transfer))) {
      throw new OperationError('busy', `a transfer from ${from.fareId} of "${from.saleId}" is under way: try again`)
    }
    const lowered = await this.#told(from.saleId, (seen) =>
      this.#parts.port.sales.setStock(from.saleId, from.fareId, transfer.fromStock, seen),
    )
    if (lowered.outcome === 'refused') {
      await acts.dropTransfer(transfer)
      return null
    }
    await acts.carryTransfer(transfer)
    const version = await this.#raiseFromLedger(to)
    return { tickets: transfer.tickets, version }
  }

  /** The store is told what the ledger says of a fare's stock. */
  async #raiseFromLedger({ saleId, fareId }: FarePlace): Promise<Version> {
    const { present } = this.#fareOf(await this.#known(saleId), fareId)
    const { version } = await this.#setInStore(saleId, fareId, present)
    await this.#parts.acts.told(saleId, { stockOf: fareId })
    return version
  }

  /**
   * After the store was put together by what the ledger says: its state and stock are the ledger's, also where an act was
   * under way meanwhile, which this waits for.
   */
  restore(saleId: string): Promise<void> {
    return this.#inTurn(async () => {
      const { acts, log } = this.#parts
      const sale = await this.#known(saleId)
      const snapshot = await this.#selling(saleId)
      const change = changeTo(stateAt(sale, snapshot.nowMs), snapshot.state)
      if (change !== null) {
        await this.#told(saleId, (seen) => this.#parts.port.sales.change(saleId, change, seen))
        await acts.told(saleId, 'state')
      }
      for (const { fareId, stock } of sale.fares) {
        if (snapshot.fares.find((fare) => fare.fareId === fareId)?.stock === stock) continue
        const reply = await this.#told(saleId, (seen) => this.#parts.port.sales.setStock(saleId, fareId, stock, seen))
        if (reply.outcome === 'refused') {
          log.error({ saleId, fareId, stock }, 'the store holds more tickets than the ledger has stock')
        } else await acts.told(saleId, { stockOf: fareId })
      }
    })
  }

  /**
   * Completes what a crash left half done. `snapshot` is null for a sale that the store has never had, else that of a
   * sale that is whole. A difference counts only when it is there at two looks.
   */
  complete(sale: LedgerSale, snapshot: SaleSnapshot | null, fleet: FleetSnapshot): Promise<void> {
    return this.#inTurn(async () => {
      const saleId = sale.definition.id
      if (snapshot === null) {
        await this.#ensureInStore(sale)
        return
      }
      if (!fleet.saleIds.includes(saleId)) await this.#parts.port.fleet.addSale(saleId)
      await this.#completeTransfers(saleId)
      const differences = differencesBetween(sale, snapshot)
      const text = JSON.stringify(differences)
      const isOld = this.#differences.get(saleId) === text
      this.#differences.set(saleId, text)
      if (isOld) for (const difference of differences) await this.#completeOne(saleId, difference)
    })
  }

  async #completeOne(saleId: string, difference: SaleDifference): Promise<void> {
    const { acts, port, log } = this.#parts
    const untold = await acts.untold(saleId)
    if (difference.of === 'state') {
      const { ledger, store } = difference
      const change = changeTo(ledger, store)
      if (untold.state && change !== null) {
        await this.#told(saleId, (seen) => port.sales.change(saleId, change, seen))
        await acts.told(saleId, 'state')
      } else await acts.followState(saleId, store)
      log.warn({ saleId, ledger, store, told: !untold.state }, 'a change of state was completed')
      return
    }
    const { fareId, ledger, store } = difference
    const isUntold = untold.fareIds.has(fareId)
    if (isUntold || store > ledger) {
      await this.#setInStore(saleId, fareId, ledger)
      await acts.told(saleId, { stockOf: fareId })
    } else await acts.followStock(saleId, fareId, store)
    log.warn({ saleId, fareId, ledger, store, told: !isUntold }, 'a change of stock was completed')
  }

  async #completeTransfers(saleId: string): Promise<void> {
    const { acts, log } = this.#parts
    for (const transfer of (await acts.transfers()).filter(({ fromSale }) => fromSale === saleId)) {
      const { fromFare, fromStock, toSale, toFare } = transfer
      const reply = await this.#told(saleId, (seen) =>
        this.#parts.port.sales.setStock(saleId, fromFare, fromStock, seen),
      )
      if (reply.outcome === 'refused') await acts.dropTransfer(transfer)
      else if (await acts.carryTransfer(transfer)) await this.#raiseFromLedger({ saleId: toSale, fareId: toFare })
      log.warn({ transfer, outcome: reply.outcome }, 'a transfer was completed')
    }
  }

  /** Sales that the fleet lists and the ledger does not know: from before there was a ledger. */
  async adopt(saleIds: readonly string[]): Promise<void> {
    await this.#inTurn(async () => {
      for (const saleId of saleIds) await this.#adopt(saleId)
    })
  }

  async #adopt(saleId: string): Promise<LedgerSale | null> {
    const { ledger, acts, log } = this.#parts
    const snapshot = await this.#read(saleId)
    if (snapshot === null) return null
    const { sale } = await ledger.createSale(snapshot.definition)
    if (snapshot.version.era > sale.era) await ledger.beginEra(saleId, sale.era, snapshot.version.era)
    await acts.followState(saleId, snapshot.state)
    for (const { fareId, stock } of snapshot.fares) await acts.followStock(saleId, fareId, stock)
    log.warn({ saleId, version: snapshot.version }, 'the ledger took over a sale that only the store knew')
    return ledger.sale(saleId)
  }

  /** In the store under the ledger's era, in the fleet's list, and with a watermark, so that its loss is noticed. */
  async #ensureInStore({ definition, era }: LedgerSale): Promise<Version> {
    const { port, marks } = this.#parts
    const { version } = await port.sales.create(definition, era)
    await port.fleet.addSale(definition.id)
    marks.note(definition.id, version, await this.#seen())
    await marks.flush()
    return version
  }

  async #seen(): Promise<Seen> {
    const { durable, fingerprint } = await this.#parts.port.durability()
    return { durable: durable ?? this.#parts.declaredDurable, fingerprint }
  }

  async #setInStore(saleId: string, fareId: string, stock: number): Promise<DoneReply> {
    const reply = await this.#told(saleId, (seen) => this.#parts.port.sales.setStock(saleId, fareId, stock, seen))
    if (reply.outcome === 'refused') throw refusal(saleId, `stock ${stock} of ${fareId}`, reply.why)
    return reply
  }

  /** `fenced` means that a new era began between reading and changing: read again. */
  async #told(saleId: string, change: (seen: Version) => Promise<ChangeReply>): Promise<DoneReply | RefusedReply> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { version } = await this.#selling(saleId)
      const reply = await change(version)
      if (reply.outcome === 'fenced') continue
      if (reply.outcome === 'recovering') throw recovering(saleId)
      return reply
    }
    throw recovering(saleId)
  }

  async #known(saleId: string): Promise<LedgerSale> {
    const sale = await this.#parts.ledger.sale(saleId)
    if (sale !== null) return sale
    const message = `no sale has the id "${saleId}": see "farebox sale list"`
    throw new OperationError('no_such_sale', message, { saleId })
  }

  #fareOf(sale: LedgerSale, fareId: string): { readonly present: number } {
    const fare = sale.fares.find((candidate) => candidate.fareId === fareId)
    if (fare !== undefined) return { present: fare.stock }
    const fares = sale.fares.map((candidate) => candidate.fareId).join(', ')
    const message = `sale "${sale.definition.id}" has no fare "${fareId}": it has ${fares}`
    throw new OperationError('no_such_fare', message, { fareId })
  }

  async #selling(saleId: string): Promise<SaleSnapshot> {
    const snapshot = await this.#read(saleId)
    if (snapshot === null || !snapshot.certified) throw recovering(saleId)
    return snapshot
  }

  #read(saleId: string): Promise<SaleSnapshot | null> {
    return this.#parts.port.sales.read(saleId, this.#parts.rules)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done.catch((error: unknown) => {
      throw error instanceof DatabaseError && error.outcome === 'away' ? ledgerAway(error) : error
    })
  }
}

export interface FarePlace {
  readonly saleId: string
  readonly fareId: string
}

type DoneReply = Extract<ChangeReply, { outcome: 'changed' | 'unchanged' }>
type RefusedReply = Extract<ChangeReply, { outcome: 'refused' }>

type SaleDifference =
  | { readonly of: 'state'; readonly ledger: SaleState; readonly store: SaleState }
  | { readonly of: 'stock'; readonly fareId: string; readonly ledger: number; readonly store: number }

/** A fare whose counters break the law is left alone: that is for the audit to tell, not to be mended over. */
function differencesBetween(sale: LedgerSale, { nowMs, state, fares }: SaleSnapshot): SaleDifference[] {
  const ledgerState = stateAt(sale, nowMs)
  return [
    ...(ledgerState === state ? [] : [{ of: 'state' as const, ledger: ledgerState, store: state }]),
    ...sale.fares.flatMap(({ fareId, stock }): SaleDifference[] => {
      const counters = fares.find((fare) => fare.fareId === fareId)
      if (counters === undefined || counters.stock === stock || conservationFault(fareId, counters) !== null) return []
      return [{ of: 'stock', fareId, ledger: stock, store: counters.stock }]
    }),
  ]
}

/** The change that brings the store from one state to the other; null where there is none. */
function changeTo(wanted: SaleState, present: SaleState): StateChange | null {
  if (wanted === present) return null
  if (wanted === 'open') return 'open'
  if (wanted === 'paused') return 'pause'
  return wanted === 'closed' ? 'close' : null
}

function refusal(saleId: string, what: string, why: string): OperationError {
  return new OperationError(why, `sale "${saleId}": ${what} is refused: ${REFUSALS[why] ?? why}`, { saleId })
}

function recovering(saleId: string): OperationError {
  return new OperationError('recovering', `sale "${saleId}" is recovering: see "farebox status"`, { saleId })
}

function ledgerAway(error: DatabaseError): OperationError {
  const message = `the ledger did not answer (${error.message}): what was begun is completed when it does; look again`
  return new OperationError('ledger_away', message)
}
