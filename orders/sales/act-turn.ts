/**
 * One act of an operator on one sale, and all that it writes, in the ledger and in the store.
 *
 * Acts may come at the same time from several processes, and one that slept may go on when others are long done. So each
 * begins with a turn: a number that the ledger gives and that is shown to the store before anything else is done. From
 * then on neither of them writes anything for an act with a lower number. Whoever is overtaken learns so at the next
 * thing it writes; what it left half done is found by whoever came after it, in ledger and store, as if it had died.
 *
 * Nobody waits for anybody: of several acts the one that began last is done.
 */
import { OperationError } from '../../runtime/operation-error.ts'
import { compareVersions, type QuotaRules, type SaleState, type Version } from '../../stock/core/words.ts'
import type { ChangeReply, SaleSnapshot, StateChange, StockPort } from '../../stock/port.ts'
import type { Acts, Subject, Transfer, Turn } from '../ledger/act-ledger.ts'
import type { Ledger, LedgerSale } from '../ledger/ledger.ts'

export interface ActTurnParts {
  readonly ledger: Ledger
  readonly acts: Acts
  readonly port: StockPort
  readonly rules: QuotaRules
}

export type DoneReply = Extract<ChangeReply, { outcome: 'changed' | 'unchanged' }>
export type RefusedReply = Extract<ChangeReply, { outcome: 'refused' }>

const OVERTAKEN = 'busy'

export class ActTurn {
  /** The store's clock when the act began. */
  readonly begunMs: number
  readonly #parts: ActTurnParts
  readonly #turn: Turn
  /** In the era in which it began; in another one it is over. */
  #seen: Version

  private constructor(parts: ActTurnParts, turn: Turn, { version, nowMs }: DoneReply) {
    this.#parts = parts
    this.#turn = turn
    this.#seen = version
    this.begunMs = nowMs
  }

  /** Ends the acts on this sale that began before. What is read after this is not changed by them any more. */
  static async begin(parts: ActTurnParts, saleId: string): Promise<ActTurn> {
    const { version, turn: above } = await readSelling(parts, saleId)
    // A ledger that was made anew begins above what the store knows.
    const turn = await parts.acts.beginTurn(saleId, above)
    if (turn === null) throw noSuchSale(saleId)
    // A new era ends the acts before it in the ledger first, and what the store then has is put together.
    if ((await readKnown(parts, saleId)).era !== version.era) throw recovering(saleId)
    const reply = await parts.port.sales.beginTurn(saleId, turn.number, version)
    if (reply.outcome === 'refused') throw overtaken(saleId)
    if (reply.outcome === 'recovering' || reply.outcome === 'fenced') throw recovering(saleId)
    return new ActTurn(parts, turn, reply)
  }

  get saleId(): string {
    return this.#turn.saleId
  }

  /** As the ledger has it. */
  sale(): Promise<LedgerSale> {
    return readKnown(this.#parts, this.saleId)
  }

  /** As the store has it. */
  snapshot(): Promise<SaleSnapshot> {
    return readSelling(this.#parts, this.saleId)
  }

  async beginState(state: SaleState): Promise<void> {
    this.#goOn(await this.#parts.acts.beginState(this.#turn, state))
  }

  async followState(state: SaleState): Promise<void> {
    this.#goOn(await this.#parts.acts.followState(this.#turn, state))
  }

  async beginStock(fareId: string, stock: number): Promise<void> {
    this.#goOn(await this.#parts.acts.beginStock(this.#turn, fareId, stock))
  }

  async followStock(fareId: string, stock: number): Promise<void> {
    this.#goOn(await this.#parts.acts.followStock(this.#turn, fareId, stock))
  }

  async told(subject: Subject): Promise<void> {
    this.#goOn(await this.#parts.acts.told(this.#turn, subject))
  }

  async beginTransfer(transfer: Omit<Transfer, 'fromSale'>): Promise<void> {
    this.#goOn(await this.#parts.acts.beginTransfer(this.#turn, transfer))
  }

  async dropTransfer({ fromFare }: Pick<Transfer, 'fromFare'>): Promise<void> {
    this.#goOn(await this.#parts.acts.dropTransfer(this.#turn, fromFare))
  }

  async carryTransfer({ fromFare, toSale }: Pick<Transfer, 'fromFare' | 'toSale'>): Promise<void> {
    this.#goOn(await this.#parts.acts.carryTransfer(this.#turn, fromFare, toSale))
  }

  changeInStore(change: StateChange): Promise<DoneReply | RefusedReply> {
    const { sales } = this.#parts.port
    return this.#tell((seen, turn) => sales.change(this.saleId, change, seen, { turn }))
  }

  setStockInStore(fareId: string, stock: number): Promise<DoneReply | RefusedReply> {
    const { sales } = this.#parts.port
    return this.#tell((seen, turn) => sales.setStock(this.saleId, fareId, stock, seen, { turn }))
  }

  async #tell(change: (seen: Version, turn: number) => Promise<ChangeReply>): Promise<DoneReply | RefusedReply> {
    const reply = await change(this.#seen, this.#turn.number)
    if (reply.outcome === 'recovering' || reply.outcome === 'fenced') throw recovering(this.saleId)
    if (reply.outcome === 'refused' && reply.why === 'stale_turn') throw overtaken(this.saleId)
    if (compareVersions(reply.version, this.#seen) > 0) this.#seen = reply.version
    return reply
  }

  #goOn(isMine: boolean): void {
    if (!isMine) throw overtaken(this.saleId)
  }
}

/** Rejects with `no_such_sale`. */
export async function readKnown({ ledger }: Pick<ActTurnParts, 'ledger'>, saleId: string): Promise<LedgerSale> {
  const sale = await ledger.sale(saleId)
  if (sale === null) throw noSuchSale(saleId)
  return sale
}

/** Rejects with `recovering` where the store is not certified. */
export async function readSelling(
  { port, rules }: Pick<ActTurnParts, 'port' | 'rules'>,
  saleId: string,
): Promise<SaleSnapshot> {
  const snapshot = await port.sales.read(saleId, rules)
  if (snapshot === null || !snapshot.certified) throw recovering(saleId)
  return snapshot
}

export function isOvertaken(error: unknown): boolean {
  return error instanceof OperationError && error.code === OVERTAKEN
}

function overtaken(saleId: string): OperationError {
  const message = `sale "${saleId}" was changed by somebody else meanwhile: look at it, and try again`
  return new OperationError(OVERTAKEN, message, { saleId })
}

function noSuchSale(saleId: string): OperationError {
  return new OperationError('no_such_sale', `no sale has the id "${saleId}": see "farebox sale list"`, { saleId })
}

function recovering(saleId: string): OperationError {
  return new OperationError('recovering', `sale "${saleId}" is recovering: see "farebox status"`, { saleId })
}
