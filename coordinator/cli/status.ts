import { resolve } from 'node:path'
import { status, type StatusView } from '../operations/status.ts'
import { clusterStatus } from '../supervise/cluster.ts'
import { readCluster } from '../supervise/cluster-file.ts'
import { ask } from './cluster.ts'
import { EXIT, type RegisterCommand } from './frame.ts'
import { table } from './table.ts'

export const registerStatus: RegisterCommand = (cli) => {
  cli.program
    .command('status')
    .description('what runs and its health, what is missing where a sale does not sell; exit 1 when something is wrong')
    .action(
      cli.action(async (common) => {
        const view = await ask<StatusView>(common, { method: 'GET', path: '/admin/status' }, (world) =>
          status(world, { declaredDurable: world.declaredDurable }),
        )
        const processes = common.admin === undefined ? await processesOf(resolve(common.dir)) : []
        const dead = processes.filter(({ alive }) => !alive).map(({ name }) => `process ${name} does not run`)
        const problems = [...view.problems, ...dead]
        const whole = { ...view, problems, ok: problems.length === 0, processes }
        return { json: whole, text: textOf(whole), exitCode: whole.ok ? EXIT.done : EXIT.refused }
      }),
    )
}

type Processes = Awaited<ReturnType<typeof clusterStatus>>

/** Of a cluster on this machine; a fleet started by hand has none that we know. */
async function processesOf(dir: string): Promise<Processes> {
  return readCluster(dir) === null ? [] : clusterStatus(dir)
}

function textOf(view: StatusView & { readonly processes: Processes }): string {
  const lines = [
    ...(view.processes.length === 0
      ? []
      : [
          table(
            ['PROCESS', 'PID', 'STATE'],
            view.processes.map(({ name, pid, alive }) => [name, pid, alive ? 'runs' : 'does not run']),
          ),
        ]),
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
