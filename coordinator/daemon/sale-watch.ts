/**
 * What orders processes did to sales, told as events: what sold too much and was counted anew, what was paused for it,
 * what was recovered. Every coordinator looks, so that whoever comes to lead knows what is old; the leader tells.
 *
 * Of several orders processes one answers, not always the same, and each knows what it did itself. So what is missing
 * from one answer is not over; only what was missing from many is, and would be news again.
 */
import type { Log } from '../../runtime/log.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { OrdersDoor } from '../operations/orders-door.ts'
import { saleNews, type SaleFacts } from '../plan/sale-news.ts'

const FORGOTTEN_AFTER_LOOKS = 60

export class SaleWatch {
  readonly #orders: Pick<OrdersDoor, 'call'>
  readonly #leads: () => boolean
  readonly #log: Log
  #looks = 0
  /** In which look each happening was last told of. */
  readonly #known = new Map<string, number>()

  constructor(parts: { readonly orders: Pick<OrdersDoor, 'call'>; readonly leads: () => boolean; readonly log: Log }) {
    this.#orders = parts.orders
    this.#leads = parts.leads
    this.#log = parts.log
  }

  /** While no orders process answers nothing is learnt: what happens meanwhile is told afterwards. */
  async look(): Promise<void> {
    const facts = await this.#ask()
    if (facts === null) return
    const isFirst = this.#looks === 0
    this.#looks += 1
    for (const { key, kind, saleId, text } of saleNews(facts)) {
      const isNews = !this.#known.has(key) && !isFirst
      this.#known.set(key, this.#looks)
      if (isNews && this.#leads()) this.#log[kind]({ saleId }, text)
    }
    for (const [key, look] of this.#known) if (look <= this.#looks - FORGOTTEN_AFTER_LOOKS) this.#known.delete(key)
  }

  async #ask(): Promise<SaleFacts | null> {
    try {
      return await this.#orders.call<SaleFacts>('GET', '/admin/recovery')
    } catch (error) {
      if (error instanceof OperationError) return null
      throw error
    }
  }
}
