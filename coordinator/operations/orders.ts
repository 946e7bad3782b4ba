/** The support desk: one order, wherever it is. */
import { OperationError } from '../../runtime/operation-error.ts'
import { noSuchSale } from './failure.ts'
import { orderView, type OrderView } from './views.ts'
import type { World } from './world.ts'

/** An order id names no sale, so every sale is asked. */
export async function showOrder(world: World, orderId: string): Promise<OrderView> {
  const { saleIds } = await world.port.fleet.read()
  for (const saleId of saleIds) {
    const [order] = await world.port.sales.readOrders(saleId, [orderId])
    if (order === undefined || order === null) continue
    const snapshot = await world.port.sales.read(saleId, world.rules)
    if (snapshot === null) throw noSuchSale(saleId)
    return orderView(snapshot, order)
  }
  throw new OperationError('no_such_order', `no sale has an order with the id "${orderId}"`, { orderId })
}
