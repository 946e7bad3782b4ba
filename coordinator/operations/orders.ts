/** The support desk: one order, wherever it is. */
import type { FleetSnapshot } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { noSuchSale } from './failure.ts'
import { orderView, type OrderView } from './views.ts'
import type { World } from './world.ts'

/** The ledger's word; from the store while no orders process answers. */
export async function showOrder(world: World, orderId: string): Promise<OrderView> {
  try {
    return await world.orders.call<OrderView>('GET', `/admin/orders/${encodeURIComponent(orderId)}`)
  } catch (error) {
    const isAway = error instanceof OperationError && (error.code === 'no_orders' || error.code === 'ledger_away')
    if (!isAway) throw error
  }
  return orderInStore(world, await world.port.fleet.read(), orderId)
}

/** An order id names no sale, so every sale is asked. */
async function orderInStore(world: World, { saleIds }: FleetSnapshot, orderId: string): Promise<OrderView> {
  for (const saleId of saleIds) {
    const [order] = await world.port.sales.readOrders(saleId, [orderId])
    if (order === undefined || order === null) continue
    const snapshot = await world.port.sales.read(saleId, world.rules)
    if (snapshot === null) throw noSuchSale(saleId)
    return orderView(snapshot, order)
  }
  throw new OperationError('no_such_order', `no sale has an order with the id "${orderId}"`, { orderId })
}

export interface OrderChange {
  readonly outcome: 'changed' | 'unchanged'
  readonly order: OrderView
}

export function changeOrder(world: World, orderId: string, change: 'cancel' | 'refund'): Promise<OrderChange> {
  return world.orders.call<OrderChange>('POST', `/admin/orders/${encodeURIComponent(orderId)}/${change}`)
}

export interface Explanation {
  readonly id: string
  readonly lines: readonly string[]
}

export function explainOrder(world: World, orderId: string): Promise<Explanation> {
  return world.orders.call<Explanation>('GET', `/admin/orders/${encodeURIComponent(orderId)}/explain`)
}
