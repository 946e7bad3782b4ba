import { resolve } from 'node:path'
import { systemClock } from '../../runtime/clock.ts'
import { StoreError } from '../../stock/port.ts'
import { status, type LastRecovery, type StatusView } from '../operations/status.ts'
import { clusterStatus } from '../supervise/cluster.ts'
import { readCluster, type ClusterFile } from '../supervise/cluster-file.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type CommonOptions, type RegisterCommand } from './frame.ts'
import { shownState } from './nodes.ts'
import { table } from './table.ts'

export const registerStatus: RegisterCommand = (cli) => {
  cli.program
    .command('status')
    .description('what runs and its health, what is missing where a sale does not sell; exit 1 when something is wrong')
    .action(
      cli.action(async (common) => {
        const view = await viewOf(common)
        const processes = common.admin === undefined ? await processesOf(resolve(common.dir)) : []
        const dead = processes.filter(({ alive }) => !alive).map(({ name }) => `process ${name} does not run`)
        const problems = [...view.problems, ...dead]
        const whole = { ...view, problems, ok: problems.length === 0, processes }
        return { json: whole, text: textOf(whole), exitCode: whole.ok ? EXIT.done : EXIT.refused }
      }),
    )
}

/** The store holds what there is to see; without it there is still to say that it is away, and what runs. */
async function viewOf(common: CommonOptions): Promise<StatusView> {
  try {
    return await ask<StatusView>(common, { method: 'GET', path: '/admin/status' }, (world) =>
      status(world, { declaredDurable: world.declaredDurable }),
    )
  } catch (error) {
    const isAway = (error instanceof CliError && error.code === 'store_away') || error instanceof StoreError
    if (!isAway) throw error
    return withoutStore(common.admin === undefined ? readCluster(resolve(common.dir)) : null)
  }
}

function withoutStore(cluster: ClusterFile | null): StatusView {
  const config = cluster?.redis.config ?? null
  const where = cluster === null ? '' : ` at ${cluster.redis.url}`
  const start = config === null ? '' : `; "redis-server ${config}" starts it with its data`
  return {
    at: new Date(systemClock.nowMs()).toISOString(),
    leader: null,
    redis: { answers: false, durable: null, faults: [] },
    nodes: [],
    orders: [],
    sales: [],
    problems: [`Redis does not answer${where}: buyers hear "busy" until it does, and lose nothing${start}`],
    ok: false,
  }
}

type Processes = Awaited<ReturnType<typeof clusterStatus>>

/** Of a cluster on this machine; a fleet started by hand has none that we know. */
async function processesOf(dir: string): Promise<Processes> {
  return readCluster(dir) === null ? [] : clusterStatus(dir)
}

function recoveryLines(id: string, recovered: LastRecovery): string[] {
  const { forMs, how, reasserted, fromJournals, conflicts, unaccounted, fares } = recovered
  const what =
    how === 'whole'
      ? 'nothing was lost'
      : how === 'recount'
        ? `its counters were wrong and are what its orders come to; see the ALARM in "farebox logs"`
        : `${reasserted} orders were brought back, ${fromJournals} of them from nodes alone, ${conflicts} did not fit`
  const tickets = fares.map(({ fareId, before, now }) => `${fareId} ${before ?? '?'} before, ${now} now`)
  return [
    `sale ${id}: recovered after ${seconds(forMs)}: ${what}`,
    ...unaccounted.map((reason) => `sale ${id}: orders may be lost (tickets ${tickets.join(', ')}): ${reason}`),
  ]
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
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
    ...(view.redis.answers ? storedLines(view) : []),
    ...view.problems.map((problem) => `problem: ${problem}`),
    ...(view.ok ? ['all is well'] : []),
  ]
  return lines.filter((line) => line !== '').join('\n')
}

function storedLines(view: StatusView): string[] {
  return [
    `leader: ${view.leader === null ? 'none' : `${view.leader.id} at ${view.leader.adminUrl}`}`,
    table(
      ['NODE', 'STATE', 'WEIGHT', 'EPOCH', 'LAST SEEN'],
      view.nodes.map((node) => [node.id, shownState(node), node.weight, node.epoch, node.lastSeenAt]),
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
      .filter(({ recovering }) => recovering)
      .map(({ id, recoveringForMs }) => {
        const since = recoveringForMs === null ? '' : ` has not sold for ${seconds(recoveringForMs)};`
        return `sale ${id}:${since} "farebox sale recover ${id}" opens it with what is known`
      }),
    ...view.sales.flatMap(({ id, recovered }) => (recovered === null ? [] : recoveryLines(id, recovered))),
  ]
}
