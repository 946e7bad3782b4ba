import { showOrder } from '../operations/orders.ts'
import type { OrderView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { group } from './group.ts'

export const registerOrder: RegisterCommand = (cli) => {
  group(cli.program, 'order', 'the support desk')
    .command('show')
    .argument('<id>')
    .description('one order')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: `/admin/orders/${encodeURIComponent(id)}` } as const
        const view = await ask<OrderView>(common, call, (world) => showOrder(world, id))
        return { json: view, text: textOf(view) }
      }),
    )
}

function textOf(order: OrderView): string {
  const state = order.reason === null ? order.state : `${order.state} (${order.reason})`
  return [
    `order ${order.id}: ${state}`,
    `${order.quantity} of ${order.fareId} in sale ${order.saleId}, buyer ${order.buyer}`,
    `made ${order.createdAt}, held until ${order.holdExpiresAt}`,
    ...(order.paidAt === null ? [] : [`paid ${order.paidAt}`]),
    ...(order.releasedAt === null ? [] : [`released ${order.releasedAt}`]),
    ...(order.total === null ? [] : [`total ${order.total.amount} ${order.total.currency}`]),
  ].join('\n')
}
