/** A sale and records of orders for tests. */
import type { Order, SaleDefinition } from '../../../stock/core/words.ts'
import { testOrder } from '../../../stock/testing/order.ts'

export const HOLD_MS = 60_000

export function saleOf(id: string, stock: number, limitPerBuyer = 4): SaleDefinition {
  return {
    id,
    name: 'Night train',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer,
    holdMs: HOLD_MS,
    fares: [{ id: 'second', name: 'Second class', price: { amount: 55_300, currency: 'CNY' }, stock }],
    orderIdSecret: '5e',
  }
}

/** As the store has it when it has just been confirmed. */
export function heldOrder(id: string, createdAtMs: number, more: Partial<Order> = {}): Order {
  return testOrder(id, { createdAtMs, ...more })
}

/** `count` orders from number `first` on; ids sort like their numbers. */
export function heldOrders(saleId: string, first: number, count: number, createdAtMs: number): Order[] {
  return Array.from({ length: count }, (_, index) =>
    heldOrder(`${saleId}${String(first + index).padStart(8, '0')}`, createdAtMs),
  )
}
