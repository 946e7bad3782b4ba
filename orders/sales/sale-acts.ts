/**
 * An operator's acts on sales: make, open, pause, close, set a stock, carry left-overs to another fare.
 *
 * The ledger owns a sale's definition, state and stock; the store sells by its own copy. What lets more be sold (a new
 * sale, opening, raising) is committed in the ledger first and then told the store; what stops selling (pausing,
 * closing, lowering) is done in the store first, where it acts at once. Done means both. A crash in between is
 * completed by {@link SaleActs.complete}; why it knows which way is told in `act-ledger.ts`.
 *
 * Acts of this process follow one another. Another process may act at the same time: each act has a turn, and the one
 * that began last is done (`act-turn.ts`).
 */
import { randomBytes } from 'node:crypto'
import type { SaleFile } from '../../config/sale-file.ts'
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { nextState } from '../../stock/core/change.ts'
import { conservationFault, stateAt } from '../../stock/core/sale-record.ts'
import type { QuotaRules, SaleState, Version } from '../../stock/core/words.ts'
import type { FleetSnapshot, SaleSnapshot, StateChange, StockPort } from '../../stock/port.ts'
import type { Acts, Transfer } from '../ledger/act-ledger.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'
import type { Marks, Seen } from '../recovery/marks.ts'
import { ActTurn, type DoneReply, isOvertaken, readKnown, readSelling } from './act-turn.ts'
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
  /** By sale, what was undone at the last look, and in which turn; empty for nothing. */
  readonly #leftUndone = new Map<string, string>()

  constructor(parts: SaleActsParts) {
    this.#parts = parts
  }

  /**
   * Makes the sale unless it is there. One that is there must be the same, and then nothing happens, its state
   * included.
   */
  create(file: SaleFile): Promise<ActResult> {
    return this.#oneByOne(async () => {
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
    return this.#oneByOne(async () => {
      const before = stateAt(await readKnown(this.#parts, saleId), (await readSelling(this.#parts, saleId)).nowMs)
      // A sale that was paused has sold a moment ago, and is wanted at once.
      const isFirst = change === 'open' && before !== 'paused' && nextState(before, change) === 'open'
      if (isFirst) await this.#parts.rehearse?.()
      const turn = await ActTurn.begin(this.#parts, saleId)
      const sale = await turn.sale()
      const next = nextState(stateAt(sale, turn.begunMs), change)
      if (typeof next === 'object') throw refusal(saleId, change, next.refused)
      const wanted = next === 'unchanged' ? sale.state : next
      const isFirstHere = change === 'open' && next !== 'unchanged'
      if (isFirstHere) await turn.beginState(wanted)
      // An opening that died may have left its mark. From here on the store is right where they differ.
      const hadMark = change !== 'open' && (await this.#parts.acts.untold(saleId)).stateTurn !== null
      if (hadMark) await turn.told('state')
      const reply = await turn.changeInStore(change)
      if (reply.outcome === 'refused') {
        // Closed in the store alone, by hand or by a crash: closing is final there, so here too.
        if (reply.why === 'sale_closed') await turn.followState('closed')
        // Nothing was stopped: what that opening began is to be completed.
        else if (hadMark) await turn.beginState(sale.state)
        throw refusal(saleId, change, reply.why)
      }
      if (change === 'open') await turn.told('state')
      else if (next !== 'unchanged') await turn.followState(wanted)
      const isChange = next !== 'unchanged' || reply.outcome === 'changed'
      return { outcome: isChange ? 'changed' : 'unchanged', version: reply.version }
    })
  }

  setStock(saleId: string, fareId: string, stock: number): Promise<ActResult> {
    return this.#oneByOne(async () => {
      if (!Number.isSafeInteger(stock) || stock < 0 || stock > STOCK_MAX) {
        throw new OperationError('bad_request', `stock ${stock}: a whole number from 0 to ${STOCK_MAX} is expected`)
      }
      stockOf(await readKnown(this.#parts, saleId), fareId)
      const turn = await ActTurn.begin(this.#parts, saleId)
      await this.#completeTransfers(turn)
      const present = stockOf(await turn.sale(), fareId)
      if (stock > present) await turn.beginStock(fareId, stock)
      const reply =
        stock < present
          ? await this.#lowerInStore(turn, fareId, { present, stock })
          : await setInStore(turn, fareId, stock)
      if (stock >= present) await turn.told({ stockOf: fareId })
      else await turn.followStock(fareId, stock)
      const isChange = stock !== present || reply.outcome === 'changed'
      return { outcome: isChange ? 'changed' : 'unchanged', version: reply.version }
    })
  }

  /**
   * A raise that died may have left its mark, which would have the lowering undone if this process died as well: from here
   * on the store is right where they differ. Where it refuses, nothing was lowered, and what was begun is to be completed.
   */
  async #lowerInStore(
    turn: ActTurn,
    fareId: string,
    { present, stock }: { readonly present: number; readonly stock: number },
  ): Promise<DoneReply> {
    const hadMark = (await this.#parts.acts.untold(turn.saleId)).fareIds.has(fareId)
    if (hadMark) await turn.told({ stockOf: fareId })
    const reply = await turn.setStockInStore(fareId, stock)
    if (reply.outcome !== 'refused') return reply
    if (hadMark) await turn.beginStock(fareId, present)
    throw refusalOfStock(turn, fareId, { stock, why: reply.why })
  }

  /**
   * Carries what remains of one fare to another, of the same sale or another. In the store the one is lowered before
   * the other is raised, so that there are never more tickets in sum than before.
   */
  transfer(from: FarePlace, to: FarePlace): Promise<{ readonly tickets: number; readonly version: Version }> {
    return this.#oneByOne(async () => {
      if (from.saleId === to.saleId && from.fareId === to.fareId) {
        throw new OperationError('bad_request', 'a transfer is from one fare to another')
      }
      stockOf(await readKnown(this.#parts, from.saleId), from.fareId)
      stockOf(await readKnown(this.#parts, to.saleId), to.fareId)
      await readSelling(this.#parts, to.saleId)
      const turn = await ActTurn.begin(this.#parts, from.saleId)
      await this.#completeTransfers(turn)
      // What a raise that died has begun is left over as well.
      const { fareIds } = await this.#parts.acts.untold(turn.saleId)
      if (fareIds.has(from.fareId)) await this.#raiseFromLedger(turn, from)
      for (let tries = 0; tries < TRIES; tries += 1) {
        const result = await this.#tryTransfer(turn, from.fareId, to)
        if (result !== null) return result
      }
      throw new OperationError(
        'busy',
        `${from.fareId} of "${from.saleId}" sells too fast to be emptied: pause it first`,
      )
    })
  }

  /** Null when a ticket was sold in between, so that what remains is another number. */
  async #tryTransfer(
    turn: ActTurn,
    fromFare: string,
    to: FarePlace,
  ): Promise<{ tickets: number; version: Version } | null> {
    const snapshot = await turn.snapshot()
    const fare = snapshot.fares.find(({ fareId }) => fareId === fromFare)
    if (fare === undefined) throw refusal(turn.saleId, 'the transfer', 'no_such_fare')
    if (fare.remaining <= 0) return { tickets: 0, version: snapshot.version }
    const transfer = {
      fromFare,
      toSale: to.saleId,
      toFare: to.fareId,
      tickets: fare.remaining,
      fromStock: fare.stock - fare.remaining,
    }
    await turn.beginTransfer(transfer)
    const lowered = await turn.setStockInStore(fromFare, transfer.fromStock)
    if (lowered.outcome === 'refused') {
      await turn.dropTransfer(transfer)
      return null
    }
    await turn.carryTransfer(transfer)
    const version = await this.#raiseFromLedger(turn, to)
    return { tickets: transfer.tickets, version }
  }

  /** The store is told what the ledger says of a fare's stock; of another sale than the act's, in a turn of that one. */
  async #raiseFromLedger(turn: ActTurn, { saleId, fareId }: FarePlace): Promise<Version> {
    const there = saleId === turn.saleId ? turn : await ActTurn.begin(this.#parts, saleId)
    const { version } = await setInStore(there, fareId, stockOf(await there.sale(), fareId))
    await there.told({ stockOf: fareId })
    return version
  }

  /**
   * After the store was put together by what the ledger says: its state and stock are the ledger's, also where an act was
   * under way meanwhile, which ends.
   */
  restore(saleId: string): Promise<void> {
    return this.#oneByOne(async () => {
      for (let tries = 1; ; tries += 1) {
        try {
          await this.#restore(saleId)
          return
        } catch (error) {
          if (!isOvertaken(error) || tries >= TRIES) throw error
        }
      }
    })
  }

  async #restore(saleId: string): Promise<void> {
    const { log } = this.#parts
    const turn = await ActTurn.begin(this.#parts, saleId)
    const sale = await turn.sale()
    const snapshot = await turn.snapshot()
    const change = changeTo(stateAt(sale, snapshot.nowMs), snapshot.state)
    if (change !== null) {
      await turn.changeInStore(change)
      await turn.told('state')
    }
    for (const { fareId, stock } of sale.fares) {
      if (snapshot.fares.find((fare) => fare.fareId === fareId)?.stock === stock) continue
      const reply = await turn.setStockInStore(fareId, stock)
      if (reply.outcome === 'refused') {
        log.error({ saleId, fareId, stock }, 'the store holds more tickets than the ledger has stock')
      } else await turn.told({ stockOf: fareId })
    }
  }

  /**
   * Completes what a crash left half done, or an act that was overtaken. `snapshot` is null for a sale that the store has
   * never had, else that of a sale that is whole. Done only when the same is there at two looks and no act began between
   * them: whoever is at it needs no help, and would be overtaken by it.
   */
  complete(sale: LedgerSale, snapshot: SaleSnapshot | null, fleet: FleetSnapshot): Promise<void> {
    return this.#oneByOne(async () => {
      const saleId = sale.definition.id
      if (snapshot === null) {
        await this.#ensureInStore(sale)
        return
      }
      if (!fleet.saleIds.includes(saleId)) await this.#parts.port.fleet.addSale(saleId)
      const transfers = await this.#transfersFrom(saleId)
      const differences = differencesBetween(sale, snapshot)
      const isDone = transfers.length === 0 && differences.length === 0
      const text = isDone ? '' : JSON.stringify([snapshot.turn, transfers, differences])
      const isOld = !isDone && this.#leftUndone.get(saleId) === text
      this.#leftUndone.set(saleId, text)
      if (isOld) await this.#completeAll(saleId)
    })
  }

  async #completeAll(saleId: string): Promise<void> {
    try {
      const turn = await ActTurn.begin(this.#parts, saleId)
      await this.#completeTransfers(turn)
      const sale = await turn.sale()
      const snapshot = await turn.snapshot()
      for (const difference of differencesBetween(sale, snapshot)) {
        await this.#completeOne(turn, difference, snapshot)
      }
    } catch (error) {
      // Somebody else is at it; what is left then is seen at the next look.
      if (!isOvertaken(error)) throw error
    }
  }

  async #completeOne(turn: ActTurn, difference: SaleDifference, snapshot: SaleSnapshot): Promise<void> {
    const { acts, log } = this.#parts
    const { saleId } = turn
    const untold = await acts.untold(saleId)
    if (difference.of === 'state') {
      const { ledger, store } = difference
      const change = changeTo(ledger, store)
      const isUntold = untold.stateTurn !== null && !isStopped(snapshot, untold.stateTurn)
      if (isUntold && change !== null) {
        await turn.changeInStore(change)
        await turn.told('state')
      } else await turn.followState(store)
      log.warn({ saleId, ledger, store, told: !isUntold }, 'a change of state was completed')
      return
    }
    const { fareId, ledger, store } = difference
    const isUntold = untold.fareIds.has(fareId)
    if (isUntold || store > ledger) {
      await setInStore(turn, fareId, ledger)
      await turn.told({ stockOf: fareId })
    } else await turn.followStock(fareId, store)
    log.warn({ saleId, fareId, ledger, store, told: !isUntold }, 'a change of stock was completed')
  }

  async #transfersFrom(saleId: string): Promise<readonly Transfer[]> {
    return (await this.#parts.acts.transfers()).filter(({ fromSale }) => fromSale === saleId)
  }

  /** Whoever was at them is overtaken. */
  async #completeTransfers(turn: ActTurn): Promise<void> {
    for (const transfer of await this.#transfersFrom(turn.saleId)) {
      const { fromFare, fromStock, toSale, toFare } = transfer
      const reply = await turn.setStockInStore(fromFare, fromStock)
      if (reply.outcome === 'refused') await turn.dropTransfer(transfer)
      else {
        await turn.carryTransfer(transfer)
        await this.#raiseFromLedger(turn, { saleId: toSale, fareId: toFare })
      }
      this.#parts.log.warn({ transfer, outcome: reply.outcome }, 'a transfer was completed')
    }
  }

  /** Sales that the fleet lists and the ledger does not know: from before there was a ledger. */
  async adopt(saleIds: readonly string[]): Promise<void> {
    await this.#oneByOne(async () => {
      for (const saleId of saleIds) await this.#adopt(saleId)
    })
  }

  /** What nobody came to do, because another process adopts it or an operator acts on it, is completed like any act. */
  async #adopt(saleId: string): Promise<LedgerSale | null> {
    const { ledger, acts, log } = this.#parts
    const snapshot = await this.#read(saleId)
    if (snapshot === null) return null
    const { outcome, sale } = await ledger.createSale(snapshot.definition)
    if (outcome === 'exists') return sale
    if (snapshot.version.era > sale.era) await ledger.beginEra(saleId, sale.era, snapshot.version.era)
    const turn = await acts.beginTurn(saleId, snapshot.turn)
    if (turn !== null) {
      await acts.followState(turn, snapshot.state)
      for (const { fareId, stock } of snapshot.fares) await acts.followStock(turn, fareId, stock)
    }
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

  #read(saleId: string): Promise<SaleSnapshot | null> {
    return this.#parts.port.sales.read(saleId, this.#parts.rules)
  }

  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
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

/** Has a leader stopped the sale, in the store alone, since the act of that turn began? */
function isStopped({ stoppedTurn }: SaleSnapshot, turn: number): boolean {
  return stoppedTurn !== null && stoppedTurn >= turn
}

/** The change that brings the store from one state to the other; null where there is none. */
function changeTo(wanted: SaleState, present: SaleState): StateChange | null {
  if (wanted === present) return null
  if (wanted === 'open') return 'open'
  if (wanted === 'paused') return 'pause'
  return wanted === 'closed' ? 'close' : null
}

async function setInStore(turn: ActTurn, fareId: string, stock: number): Promise<DoneReply> {
  const reply = await turn.setStockInStore(fareId, stock)
  if (reply.outcome === 'refused') throw refusalOfStock(turn, fareId, { stock, why: reply.why })
  return reply
}

function refusalOfStock(
  { saleId }: ActTurn,
  fareId: string,
  { stock, why }: { readonly stock: number; readonly why: string },
): OperationError {
  return refusal(saleId, `stock ${stock} of ${fareId}`, why)
}

/** In the ledger. */
function stockOf(sale: LedgerSale, fareId: string): number {
  const fare = sale.fares.find((candidate) => candidate.fareId === fareId)
  if (fare !== undefined) return fare.stock
  const fares = sale.fares.map((candidate) => candidate.fareId).join(', ')
  const message = `sale "${sale.definition.id}" has no fare "${fareId}": it has ${fares}`
  throw new OperationError('no_such_fare', message, { fareId })
}

function refusal(saleId: string, what: string, why: string): OperationError {
  return new OperationError(why, `sale "${saleId}": ${what} is refused: ${REFUSALS[why] ?? why}`, { saleId })
}

function ledgerAway(error: DatabaseError): OperationError {
  const message = `the ledger did not answer (${error.message}): what was begun is completed when it does; look again`
  return new OperationError('ledger_away', message)
}
