/**
 * What `ack` asks for beyond the store's own reply, before a buyer hears of an order.
 *
 * `ack: redis` asks for nothing here: the reply itself came after the fsync. With `ack: replicated` the reply must
 * also have reached replicas, with `ack: ledger` the orders must stand in the ledger; until that is so, what the buyers'
 * orders are worth is unknown, and it is asked again until it is known or their deadline has passed.
 */
import type { Order, Version } from '../stock/core/words.ts'
import type { SaleStore } from '../stock/port.ts'

export type Acknowledgement =
  | {
      readonly outcome: 'kept'
      /** By id, as they are where they are kept now; who is missing is not kept. Without it all are as judged. */
      readonly orders?: ReadonlyMap<string, Order>
    }
  /** Ask again. */
  | { readonly outcome: 'not_yet' }
  /** The store that judged is not the store any more, so the same items must be judged anew. */
  | { readonly outcome: 'void' }

export interface Acknowledger {
  /** Whether `orders`, judged at `seen`, are as safe as `ack` promises; for none of them, whether any would be. */
  keeps(saleId: string, seen: Version, orders: readonly Order[]): Promise<Acknowledgement>
}

export function replicaAcknowledger(sales: SaleStore, replicas: number): Acknowledger {
  return {
    async keeps(saleId, seen) {
      const { outcome } = await sales.awaitReplicas(saleId, seen, replicas)
      if (outcome === 'replicated') return { outcome: 'kept' }
      return { outcome: outcome === 'lagging' ? 'not_yet' : 'void' }
    },
  }
}
