/** An order for tests, as the store has it when it has just been confirmed. */
import type { Order } from '../core/words.ts'

export function testOrder(id: string, more: Partial<Order> = {}): Order {
  return {
    id,
    fareId: 'second',
    quantity: 1,
    buyer: `buyer-of-${id}`,
    state: 'held',
    reason: null,
    createdAtMs: 1,
    createdSeq: 1,
    paidAtMs: null,
    paidSeq: null,
    releasedAtMs: null,
    releasedSeq: null,
    ...more,
  }
}
