/**
 * Which orders were told to buyers and are nowhere any more? A store that begins another life may lack orders that its
 * last one had, and a node that sees a lost primary goes on telling buyers what that primary says. Once such a node is
 * in the present era, it is asked for all that it told before: what neither ledger nor store has is lost.
 *
 * With `ack: ledger` there is nothing to be found, with `replicated` and `redis` what they do not survive. An order that
 * is found again is not lost: its buyer repeated the purchase with the same key, which makes the same order anew.
 */
import type { AskTold } from '../../http/node-journal.ts'
import type { Log } from '../../runtime/log.ts'
import type { Order } from '../../stock/core/words.ts'
import type { FleetNode, SaleStore } from '../../stock/port.ts'
import type { Ledger } from '../ledger/ledger.ts'

export interface LossesParts {
  readonly ledger: Pick<Ledger, 'orders'>
  readonly store: Pick<SaleStore, 'readOrders'>
  readonly askTold: AskTold
  readonly log: Log
  readonly monotonicMs: () => number
}

/** Of one sale. */
export interface Loss {
  readonly saleId: string
  readonly orders: number
  readonly tickets: number
  /** Nodes that told of them. */
  readonly nodes: readonly string[]
  /** The first of them. */
  readonly orderIds: readonly string[]
}

interface LostOrder {
  readonly nodeId: string
  readonly order: Order
}

interface SaleLosses {
  /** By node: the era and the node's epoch for which it was asked. */
  readonly asked: Map<string, string>
  readonly lost: Map<string, LostOrder>
  lookedAgainMs: number
}

const PAGE = 1000
const SHOWN = 20
const LOOK_AGAIN_MS = 10_000

export class Losses {
  readonly #parts: LossesParts
  readonly #sales = new Map<string, SaleLosses>()

  constructor(parts: LossesParts) {
    this.#parts = parts
  }

  /** Called now and then for a sale that is whole: asks each node once in every era, and again what was lost. */
  async look(saleId: string, era: number, nodes: readonly FleetNode[]): Promise<void> {
    const sale = this.#sales.get(saleId) ?? { asked: new Map(), lost: new Map(), lookedAgainMs: 0 }
    this.#sales.set(saleId, sale)
    for (const { id, epoch, adminUrl } of nodes) {
      const name = `${era} ${epoch}`
      if (sale.asked.get(id) === name) continue
      const told = await this.#parts.askTold(adminUrl, saleId, era)
      // In an earlier era it may still tell more.
      if (told === null || told.era < era) continue
      await this.#noteMissing(sale, saleId, id, told.orders)
      sale.asked.set(id, name)
    }
    await this.#lookAgain(sale, saleId)
  }

  /** Sales that lost anything. */
  all(): readonly Loss[] {
    return [...this.#sales].flatMap(([saleId, { lost }]) => (lost.size === 0 ? [] : [lossOf(saleId, lost)]))
  }

  async #noteMissing(sale: SaleLosses, saleId: string, nodeId: string, told: readonly Order[]): Promise<void> {
    const missing = await this.#missing(saleId, told)
    const news = missing.filter(({ id }) => !sale.lost.has(id))
    for (const order of news) sale.lost.set(order.id, { nodeId, order })
    if (news.length === 0) return
    const { orders, tickets } = lossOf(saleId, new Map(news.map((order) => [order.id, { nodeId, order }])))
    const orderIds = news.map(({ id }) => id)
    this.#parts.log.error({ saleId, nodeId, orders, tickets, orderIds }, 'ALARM: acknowledged orders are lost')
  }

  async #lookAgain(sale: SaleLosses, saleId: string): Promise<void> {
    const nowMs = this.#parts.monotonicMs()
    if (sale.lost.size === 0 || nowMs - sale.lookedAgainMs < LOOK_AGAIN_MS) return
    sale.lookedAgainMs = nowMs
    const missing = await this.#missing(
      saleId,
      [...sale.lost.values()].map(({ order }) => order),
    )
    const still = new Set(missing.map(({ id }) => id))
    for (const id of sale.lost.keys()) if (!still.has(id)) sale.lost.delete(id)
  }

  /** The ledger may be behind the store, so both are asked. */
  async #missing(saleId: string, orders: readonly Order[]): Promise<Order[]> {
    const { ledger, store } = this.#parts
    const missing: Order[] = []
    for (let from = 0; from < orders.length; from += PAGE) {
      const page = orders.slice(from, from + PAGE)
      const kept = new Set((await ledger.orders(page.map(({ id }) => id))).map(({ id }) => id))
      const unkept = page.filter(({ id }) => !kept.has(id))
      if (unkept.length === 0) continue
      const records = await store.readOrders(
        saleId,
        unkept.map(({ id }) => id),
      )
      missing.push(...unkept.filter((_, at) => records[at] === null))
    }
    return missing
  }
}

function lossOf(saleId: string, lost: ReadonlyMap<string, LostOrder>): Loss {
  const all = [...lost.values()]
  return {
    saleId,
    orders: all.length,
    tickets: all.reduce((sum, { order }) => sum + order.quantity, 0),
    nodes: [...new Set(all.map(({ nodeId }) => nodeId))].toSorted(),
    orderIds: [...lost.keys()].slice(0, SHOWN),
  }
}
