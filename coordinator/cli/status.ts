import { status, type StatusView } from '../operations/status.ts'
import { ask } from './cluster.ts'
import type { RegisterCommand } from './frame.ts'
import { table } from './table.ts'

export const registerStatus: RegisterCommand = (cli) => {
  cli.program
    .command('status')
    .description('what runs and its health; what is missing where a sale does not sell')
    .action(
      cli.action(async (common) => {
        const view = await ask<StatusView>(common, { method: 'GET', path: '/admin/status' }, (world) =>
          status(world, { cases: [], saleIds: world.markedSaleIds, declaredDurable: world.declaredDurable }),
        )
        return { json: view, text: textOf(view) }
      }),
    )
}

function textOf(view: StatusView): string {
  const lines = [
    `leader: ${view.leader === null ? 'none' : `${view.leader.id} at ${view.leader.adminUrl}`}`,
    table(
      ['NODE', 'STATE', 'WEIGHT', 'EPOCH', 'LAST SEEN'],
      view.nodes.map(({ id, state, weight, epoch, lastSeenAt }) => [id, state, weight, epoch, lastSeenAt]),
    ),
    table(
      ['SALE', 'STATE', 'ERA', 'SEQ'],
      view.sales.map(({ id, state, recovering, version }) => [
        id,
        recovering ? `${state}, recovering` : state,
        version?.era ?? null,
        version?.seq ?? null,
      ]),
    ),
    ...view.sales.flatMap(({ id, missing }) => missing.map((reason) => `sale ${id}: ${reason}`)),
    ...view.sales
      .filter(({ recovering, version }) => recovering && version !== null)
      .map(({ id }) => `sale ${id}: "farebox sale recover ${id}" opens it with what the store holds`),
    ...view.problems.map((problem) => `problem: ${problem}`),
    ...(view.ok ? ['all is well'] : []),
  ]
  return lines.filter((line) => line !== '').join('\n')
}
