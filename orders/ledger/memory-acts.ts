/** The acts of operators in this process, beside `memory-ledger.ts`: for tests and simulation. */
import type { SaleState } from '../../stock/core/words.ts'
import type { Acts, Subject, Transfer } from './act-ledger.ts'
import { DatabaseError } from './database.ts'
import type { MemoryLedger } from './memory-ledger.ts'

export class MemoryActs implements Acts {
  readonly #ledger: MemoryLedger
  /** `sale/state` or `sale/stock:fare`. */
  readonly #untold = new Set<string>()
  readonly #transfers = new Map<string, Transfer>()

  constructor(ledger: MemoryLedger) {
    this.#ledger = ledger
  }

  async beginState(saleId: string, state: SaleState): Promise<void> {
    await this.#ledger.setState(saleId, state)
    this.#untold.add(keyOf(saleId, 'state'))
  }

  async followState(saleId: string, state: SaleState): Promise<void> {
    await this.#ledger.setState(saleId, state)
    await this.told(saleId, 'state')
  }

  async beginStock(saleId: string, fareId: string, stock: number): Promise<void> {
    await this.#setStock(saleId, fareId, stock)
    this.#untold.add(keyOf(saleId, { stockOf: fareId }))
  }

  async followStock(saleId: string, fareId: string, stock: number): Promise<void> {
    await this.#setStock(saleId, fareId, stock)
    await this.told(saleId, { stockOf: fareId })
  }

  async told(saleId: string, subject: Subject): Promise<void> {
    this.#untold.delete(keyOf(saleId, subject))
  }

  async untold(saleId: string): Promise<{ readonly state: boolean; readonly fareIds: ReadonlySet<string> }> {
    const prefix = `${saleId}/stock:`
    const stocks = [...this.#untold].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
    return { state: this.#untold.has(keyOf(saleId, 'state')), fareIds: new Set(stocks) }
  }

  async beginTransfer(transfer: Transfer): Promise<boolean> {
    const key = `${transfer.fromSale}/${transfer.fromFare}`
    if (this.#transfers.has(key)) return false
    this.#transfers.set(key, transfer)
    return true
  }

  async dropTransfer({ fromSale, fromFare }: Transfer): Promise<void> {
    this.#transfers.delete(`${fromSale}/${fromFare}`)
  }

  async carryTransfer({ fromSale, fromFare }: Transfer): Promise<boolean> {
    const transfer = this.#transfers.get(`${fromSale}/${fromFare}`)
    if (transfer === undefined) return false
    const { toSale, toFare, fromStock, tickets } = transfer
    await this.followStock(fromSale, fromFare, fromStock)
    const fare = (await this.#ledger.sale(toSale))?.fares.find(({ fareId }) => fareId === toFare)
    await this.beginStock(toSale, toFare, (fare?.stock ?? 0) + tickets)
    await this.dropTransfer(transfer)
    return true
  }

  async transfers(): Promise<readonly Transfer[]> {
    return [...this.#transfers].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, transfer]) => transfer)
  }

  async #setStock(saleId: string, fareId: string, stock: number): Promise<void> {
    const { outcome } = await this.#ledger.setStock(saleId, fareId, stock)
    if (outcome === 'below_held_and_paid') throw new DatabaseError('refused', 'fares_never_oversold')
  }
}

function keyOf(saleId: string, subject: Subject): string {
  return subject === 'state' ? `${saleId}/state` : `${saleId}/stock:${subject.stockOf}`
}
