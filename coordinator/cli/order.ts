import { changeOrder, explainOrder, showOrder, type Explanation, type OrderChange } from '../operations/orders.ts'
import type { OrderView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import { confirm } from './confirm.ts'
import type { Cli, RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { orderPath } from './order-path.ts'

export const registerOrder: RegisterCommand = (cli) => {
  group(cli.program, 'order', 'the support desk')
    .command('show')
    .argument('<id>')
    .description('one order')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: orderPath(id) } as const
        const view = await ask<OrderView>(common, call, (world) => showOrder(world, id))
        return { json: view, text: textOf(view) }
      }),
    )
}

export const registerOrderChanges: RegisterCommand = (cli) => {
  registerChange(cli, 'cancel', 'cancel a held order; its tickets go back to the sale')
  registerChange(cli, 'refund', 'give a paid order back; its tickets go back to the sale')
  cli.program
    .command('explain')
    .argument('<id>', 'order')
    .description('what ledger and store say of an order, and why')
    .action(
      cli.action(async (common, _options, id: string) => {
        const call = { method: 'GET', path: orderPath(id, 'explain') } as const
        const view = await ask<Explanation>(common, call, (world) => explainOrder(world, id))
        return { json: view, text: [`order ${view.id}`, ...view.lines].join('\n') }
      }),
    )
}

function registerChange(cli: Cli, change: 'cancel' | 'refund', description: string): void {
  group(cli.program, 'order', 'the support desk')
    .command(change)
    .argument('<id>')
    .option('--yes', 'do not ask')
    .description(description)
    .action(
      cli.action(async (common, options: { yes?: boolean }, id: string) => {
        const path = orderPath(id, change)
        await confirm(`${change === 'cancel' ? 'Cancel' : 'Refund'} order ${id}? It is final.`, options.yes)
        const call = { method: 'POST', path } as const
        const result = await ask<OrderChange>(common, call, (world) => changeOrder(world, id, change))
        const head = result.outcome === 'unchanged' ? 'nothing to do: ' : ''
        return { json: result, text: head + textOf(result.order) }
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
