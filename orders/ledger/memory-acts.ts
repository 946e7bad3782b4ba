/** The acts of operators in this process, beside `memory-ledger.ts`: for tests and simulation. */
import type { SaleState } from '../../stock/core/words.ts'
import type { Acts, Subject, Transfer, Turn, Untold } from './act-ledger.ts'
import { DatabaseError } from './database.ts'
import type { MemoryLedger } from './memory-ledger.ts'

export class MemoryActs implements Acts {
  readonly #ledger: MemoryLedger
  /** By `sale/state` or `sale/stock:fare`, in which turn. */
  readonly #untold = new Map<string, number>()
  readonly #transfers = new Map<string, Transfer>()

  constructor(ledger: MemoryLedger) {
    this.#ledger = ledger
  }

  async beginTurn(saleId: string, above: number): Promise<Turn | null> {
    const number = this.#ledger.beginTurn(saleId, above)
    return number === null ? null : { saleId, number }
  }

  async beginState(turn: Turn, state: SaleState): Promise<boolean> {
    if (this.#isOver(turn)) return false
    await this.#ledger.setState(turn.saleId, state)
    this.#untold.set(keyOf(turn.saleId, 'state'), turn.number)
    return true
  }

  async followState(turn: Turn, state: SaleState): Promise<boolean> {
    if (this.#isOver(turn)) return false
    await this.#ledger.setState(turn.saleId, state)
    this.#forget(turn.saleId, 'state')
    return true
  }

  async beginStock(turn: Turn, fareId: string, stock: number): Promise<boolean> {
    if (this.#isOver(turn)) return false
    await this.#setStock(turn.saleId, fareId, stock)
    this.#untold.set(keyOf(turn.saleId, { stockOf: fareId }), turn.number)
    return true
  }

  async followStock(turn: Turn, fareId: string, stock: number): Promise<boolean> {
    if (this.#isOver(turn)) return false
    await this.#setStock(turn.saleId, fareId, stock)
    this.#forget(turn.saleId, { stockOf: fareId })
    return true
  }

  async told(turn: Turn, subject: Subject): Promise<boolean> {
    if (this.#isOver(turn)) return false
    this.#forget(turn.saleId, subject)
    return true
  }

  async untold(saleId: string): Promise<Untold> {
    const prefix = `${saleId}/stock:`
    const stocks = [...this.#untold.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
    return { stateTurn: this.#untold.get(keyOf(saleId, 'state')) ?? null, fareIds: new Set(stocks) }
  }

  async beginTransfer(turn: Turn, transfer: Omit<Transfer, 'fromSale'>): Promise<boolean> {
    const key = `${turn.saleId}/${transfer.fromFare}`
    if (this.#isOver(turn) || this.#transfers.has(key)) return false
    this.#transfers.set(key, { fromSale: turn.saleId, ...transfer })
    return true
  }

  async dropTransfer(turn: Turn, fromFare: string): Promise<boolean> {
    if (this.#isOver(turn)) return false
    this.#transfers.delete(`${turn.saleId}/${fromFare}`)
    return true
  }

  async carryTransfer(turn: Turn, fromFare: string, toSale: string): Promise<boolean> {
    const key = `${turn.saleId}/${fromFare}`
    const transfer = this.#transfers.get(key)
    if (this.#isOver(turn) || transfer?.toSale !== toSale) return false
    const { toFare, fromStock, tickets } = transfer
    await this.#setStock(turn.saleId, fromFare, fromStock)
    this.#forget(turn.saleId, { stockOf: fromFare })
    const fare = (await this.#ledger.sale(toSale))?.fares.find(({ fareId }) => fareId === toFare)
    await this.#setStock(toSale, toFare, (fare?.stock ?? 0) + tickets)
    this.#untold.set(keyOf(toSale, { stockOf: toFare }), this.#ledger.turnOf(toSale) ?? 0)
    this.#transfers.delete(key)
    return true
  }

  async transfers(): Promise<readonly Transfer[]> {
    return [...this.#transfers].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, transfer]) => transfer)
  }

  #isOver({ saleId, number }: Turn): boolean {
    return this.#ledger.turnOf(saleId) !== number
  }

  #forget(saleId: string, subject: Subject): void {
    this.#untold.delete(keyOf(saleId, subject))
  }

  async #setStock(saleId: string, fareId: string, stock: number): Promise<void> {
    const { outcome } = await this.#ledger.setStock(saleId, fareId, stock)
    if (outcome === 'below_held_and_paid') throw new DatabaseError('refused', 'fares_never_oversold')
  }
}

function keyOf(saleId: string, subject: Subject): string {
  return subject === 'state' ? `${saleId}/state` : `${saleId}/stock:${subject.stockOf}`
}
