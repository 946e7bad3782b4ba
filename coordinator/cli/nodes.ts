import { nodesView, type NodesView } from '../operations/views.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { table } from './table.ts'

export const registerNodes: RegisterCommand = (cli) => {
  cli.program
    .command('nodes')
    .description('the fleet; says so when no coordinator lives to declare deaths')
    .action(
      cli.action(async (common) => {
        const call = { method: 'GET', path: '/admin/nodes' } as const
        const view = await ask<NodesView>(common, call, async (world) =>
          nodesView(await world.port.fleet.read(), world.rules),
        )
        return { json: view, text: nodesText(view) }
      }),
    )
}

export function nodesText(view: NodesView): string {
  const rows = view.items.map((node) => [node.id, shownState(node), node.weight, node.epoch, node.url, node.lastSeenAt])
  const all = table(['NODE', 'STATE', 'WEIGHT', 'EPOCH', 'URL', 'LAST SEEN'], rows)
  if (!view.isStale) return all
  return `stale: no coordinator leads, so nobody declares deaths; it is ${view.at} by Redis's clock\n${all}`
}

/** Whoever is counted among the living and has not been heard of shows for how long. */
export function shownState({ state, isHeard, silentMs }: NodesView['items'][number]): string {
  const lives = state === 'live' || state === 'draining'
  return lives && !isHeard ? `${state}, silent ${(silentMs / 1000).toFixed(1)} s` : state
}
