/**
 * What `ack` asks for beyond the store's own reply, before a buyer hears of an order.
 *
 * `ack: redis` asks for nothing here: the reply itself came after the fsync. With `ack: replicated` the reply must
 * also have reached replicas; while too few have it, what the buyers' orders are worth is unknown, and it is asked
 * again until it is known or their deadline has passed.
 */
import type { Version } from '../stock/core/words.ts'
import type { SaleStore } from '../stock/port.ts'

export interface Acknowledger {
  /**
   * Whether everything up to `seen` is as safe as `ack` promises. `not_yet`: ask again. `void`: the store that judged
   * is not the store any more, so the same items must be judged anew.
   */
  keeps(saleId: string, seen: Version): Promise<'kept' | 'not_yet' | 'void'>
}

export function replicaAcknowledger(sales: SaleStore, replicas: number): Acknowledger {
  return {
    async keeps(saleId, seen) {
      const { outcome } = await sales.awaitReplicas(saleId, seen, replicas)
      if (outcome === 'replicated') return 'kept'
      return outcome === 'lagging' ? 'not_yet' : 'void'
    },
  }
}
