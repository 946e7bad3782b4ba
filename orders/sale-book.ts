/** The definitions of all sales, which never change: read once, from the store. */
import type { QuotaRules, SaleDefinition } from '../stock/core/words.ts'
import type { StockPort } from '../stock/port.ts'

export class SaleBook {
  readonly #port: StockPort
  readonly #rules: QuotaRules
  readonly #definitions = new Map<string, SaleDefinition>()

  constructor(port: StockPort, rules: QuotaRules) {
    this.#port = port
    this.#rules = rules
  }

  /** Takes in what is known already. */
  note(definition: SaleDefinition): void {
    this.#definitions.set(definition.id, definition)
  }

  /** Every sale that the fleet lists or that was noted. Rejects with `StoreError` when the fleet cannot be read. */
  async all(): Promise<readonly SaleDefinition[]> {
    const { saleIds } = await this.#port.fleet.read()
    await Promise.all(saleIds.map((saleId) => this.of(saleId)))
    return [...this.#definitions.values()]
  }

  /** Null when no sale has the id. */
  async of(saleId: string): Promise<SaleDefinition | null> {
    const known = this.#definitions.get(saleId)
    if (known !== undefined) return known
    const snapshot = await this.#port.sales.read(saleId, this.#rules)
    if (snapshot !== null) this.note(snapshot.definition)
    return snapshot?.definition ?? null
  }
}
