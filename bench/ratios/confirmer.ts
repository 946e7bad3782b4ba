/** Calls the confirm script directly through the stock port, with batches of a chosen size, each buyer once. */
import type { Caller, ConfirmItem } from '../../stock/port.ts'
import type { RedisStock } from '../../stock/redis/redis-stock.ts'
import { orderIds } from '../../stock/order-id.ts'
import { buyerAt, FARE, keyAt, SALE } from './requests.ts'
import { RULES } from './site.ts'

const orderId = orderIds(Buffer.from('5a'.repeat(32), 'hex'))

export class Confirmer {
  readonly #stock: RedisStock
  #caller: Caller
  #next: number

  private constructor(stock: RedisStock, caller: Caller, first: number) {
    this.#stock = stock
    this.#caller = caller
    this.#next = first
  }

  static async join(stock: RedisStock, nodeId: string, first = 0): Promise<Confirmer> {
    const reply = await stock.sales.join(SALE, { id: nodeId, weight: 1 }, { era: 0, seq: 0 }, 0, RULES)
    if (reply.outcome !== 'joined') throw new Error(`joining the sale: ${reply.outcome}`)
    const caller = { nodeId, epoch: reply.epoch, seen: reply.version, lastWriteSeq: reply.version.seq }
    return new Confirmer(stock, caller, first)
  }

  /** Throws unless every item becomes an order. */
  async confirm(count: number): Promise<void> {
    const items = Array.from({ length: count }, (_, n) => this.#item(this.#next + n))
    this.#next += count
    const reply = await this.#stock.sales.confirm(SALE, this.#caller, items, RULES)
    if (reply.outcome !== 'judged') throw new Error(`a batch was ${reply.outcome}`)
    const other = reply.verdicts.find(({ status }) => status !== 'held')
    if (other !== undefined) throw new Error(`a purchase was ${other.status}`)
    this.#caller = { ...this.#caller, seen: reply.version, lastWriteSeq: reply.version.seq }
  }

  #item(index: number): ConfirmItem {
    const buyer = buyerAt(index)
    const id = orderId(SALE, buyer, keyAt(index))
    return { orderId: id, buyer, fareId: FARE, quantity: 1, deadlineMs: Date.now() + 10_000 }
  }
}
