/**
 * Every order record of the store, read once and counted. The records are sorted into holes by id, and their tickets
 * into holes by buyer, so that ledger and buyers are compared with them hole by hole: a sale of millions needs no more
 * memory than one of thousands.
 */
import type { Order } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import { HOLES, Pigeonholes, type Packing } from './pigeonholes.ts'
import { type CountedOrder, Recount, stateAsOf } from './recount.ts'
import type { World } from './world.ts'

/** What one order counts for its buyer. */
export interface BuyersOrder {
  readonly buyer: string
  readonly orderId: string
  /** Tickets counted against the limit as of the counters' seq. */
  readonly tickets: number
  /** The same by the record as it was read. */
  readonly ticketsNow: number
}

const RECORDS: Packing<CountedOrder> = {
  pack: (order) => [
    order.id,
    order.fareId,
    order.quantity,
    order.buyer,
    order.state,
    order.reason,
    order.createdSeq,
    order.paidSeq,
    order.releasedSeq,
  ],
  unpack(fields) {
    const [id, fareId, quantity, buyer, state, reason, createdSeq, paidSeq, releasedSeq] = fields as [
      string,
      string,
      number,
      string,
      Order['state'],
      Order['reason'],
      number,
      number | null,
      number | null,
    ]
    return { id, fareId, quantity, buyer, state, reason, createdSeq, paidSeq, releasedSeq }
  },
}

const BUYERS_ORDERS: Packing<BuyersOrder> = {
  pack: ({ buyer, orderId, tickets, ticketsNow }) => [buyer, orderId, tickets, ticketsNow],
  unpack(fields) {
    const [buyer, orderId, tickets, ticketsNow] = fields as [string, string, number, number]
    return { buyer, orderId, tickets, ticketsNow }
  },
}

export class SortedOrders {
  readonly recount: Recount
  readonly #records = new Pigeonholes(RECORDS)
  readonly #buyers = new Pigeonholes(BUYERS_ORDERS)

  constructor(snapshot: SaleSnapshot) {
    this.recount = new Recount(
      snapshot.version.seq,
      snapshot.definition.fares.map(({ id }) => id),
    )
  }

  async readAll({ port }: World, saleId: string): Promise<void> {
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: Awaited<ReturnType<typeof port.sales.scanOrders>> = await port.sales.scanOrders(saleId, cursor)
      for (const order of page.orders) this.#records.put(order.id, order)
      await this.#records.spill()
      cursor = page.cursor
    }
    for (let hole = 0; hole < HOLES; hole++) await this.#count(hole)
  }

  /** The orders of one hole by id, each once. */
  async records(hole: number): Promise<ReadonlyMap<string, CountedOrder>> {
    const records = new Map<string, CountedOrder>()
    for (const order of await this.#records.read(hole)) if (!records.has(order.id)) records.set(order.id, order)
    return records
  }

  ofBuyers(hole: number): Promise<readonly BuyersOrder[]> {
    return this.#buyers.read(hole)
  }

  async close(): Promise<void> {
    await this.#records.close()
    await this.#buyers.close()
  }

  async #count(hole: number): Promise<void> {
    for (const order of this.recount.add(await this.#records.read(hole)).values()) {
      const state = stateAsOf(order, this.recount.seq)
      this.#buyers.put(order.buyer, {
        buyer: order.buyer,
        orderId: order.id,
        tickets: state === 'held' || state === 'paid' ? order.quantity : 0,
        ticketsNow: order.state === 'released' ? 0 : order.quantity,
      })
    }
    await this.#buyers.spill()
  }
}
