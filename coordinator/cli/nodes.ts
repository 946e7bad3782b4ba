import { nodesView, type NodesView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { table } from './table.ts'

export const registerNodes: RegisterCommand = (cli) => {
  cli.program
    .command('nodes')
    .description('the fleet')
    .action(
      cli.action(async (common) => {
        const call = { method: 'GET', path: '/admin/nodes' } as const
        const view = await ask<NodesView>(common, call, async (world) =>
          nodesView(await world.port.fleet.read(), world.rules),
        )
        const rows = view.items.map(({ id, state, weight, epoch, url, lastSeenAt }) => [
          id,
          state,
          weight,
          epoch,
          url,
          lastSeenAt,
        ])
        return { json: view, text: table(['NODE', 'STATE', 'WEIGHT', 'EPOCH', 'URL', 'LAST SEEN'], rows) }
      }),
    )
}
