/**
 * `roll`: restarts every node of this machine, one after the other, while buyers buy. Interrupted, it goes on where it
 * was when it is called again: what is done is seen in the processes (`plan/roll.ts`).
 */
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readIfThere, takeLock, writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { isAlive } from '../../runtime/process-identity.ts'
import { systemClock } from '../../runtime/clock.ts'
import { StoreError } from '../../stock/port.ts'
import { nextRollStep, type RollNode, type RollRecord, type RollStep, type RollView } from '../plan/roll.ts'
import { endNode, startNode } from '../supervise/cluster.ts'
import { readCluster, type NodeRecord } from '../supervise/cluster-file.ts'
import { lastLines } from '../supervise/processes.ts'
import { cliError } from './cluster-failure.ts'
import { CliError, EXIT, type Cli, type CommandResult, type CommonOptions, type RegisterCommand } from './frame.ts'
import { changeNode, nodesOf } from './node.ts'
import { packageRoot } from './package-root.ts'

const LOOK_EVERY_MS = 100
const PATIENCE_MS = { drained: 60_000, ready: 30_000, traffic: 20_000, away: 30_000 } as const

export const registerRoll: RegisterCommand = (cli) => {
  cli.program
    .command('roll')
    .option('--fresh', 'begin anew where one was interrupted')
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description('restart all nodes, one after the other, under load; stops at the first that is unwell')
    .action(
      cli.action(async (common, options: { fresh?: boolean }) => {
        const dir = resolve(common.dir)
        if (readCluster(dir) === null) throw noCluster(dir)
        const lock = takeLock(join(dir, 'roll.lock'))
        if (!('release' in lock)) {
          const message = `a roll is under way (pid ${lock.heldBy.pid}): wait for it, or end it and call roll again`
          throw new CliError(EXIT.refused, 'already_rolling', message)
        }
        try {
          return await roll(cli, { ...common, dir }, options.fresh === true)
        } finally {
          lock.release()
        }
      }),
    )
}

async function roll(cli: Cli, common: CommonOptions, isFresh: boolean): Promise<CommandResult> {
  const record = recordOf(cli, common.dir, isFresh)
  const startedMs = performance.now()
  let waitingFor = ''
  let sinceMs = startedMs
  // Whether there is anything to roll is told at once; from then on a node may be out of the traffic.
  let view = await look(common)
  for (; ; view = await patiently(() => look(common))) {
    const step = nextRollStep(record, view)
    if (step.do === 'done') break
    if (step.do === 'give_up') throw gaveUp(common.dir, step.id, step.why)
    if (step.do !== 'wait') {
      waitingFor = ''
      cli.note(noteOf(step))
      await patiently(() => perform(common, step))
      continue
    }
    const what = `${step.id} ${step.until}`
    if (waitingFor !== what) sinceMs = performance.now()
    waitingFor = what
    if (performance.now() - sinceMs > PATIENCE_MS[step.until]) {
      throw gaveUp(common.dir, step.id, `was not ${step.until} in time`)
    }
    await sleep(LOOK_EVERY_MS)
  }
  rmSync(recordPath(common.dir), { force: true })
  const ids = record.nodes.map(({ id }) => id)
  const seconds = Math.round((performance.now() - startedMs) / 100) / 10
  return { json: { outcome: 'rolled', nodes: ids, seconds }, text: `restarted ${ids.join(', ')} in ${seconds} s` }
}

/**
 * Repeats, for a while, what finds coordinator or Redis away: a failover is over sooner, and stopping would leave out of
 * the traffic whoever is. Every step may be done twice.
 */
export async function patiently<T>(work: () => Promise<T>, awayMsMax: number = PATIENCE_MS.away): Promise<T> {
  const startedMs = performance.now()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isAway(error) || performance.now() - startedMs > awayMsMax) throw error
      await sleep(LOOK_EVERY_MS)
    }
  }
}

const AWAY: readonly string[] = ['store_away', 'no_cluster', 'no_coordinator', 'not_leader']

function isAway(error: unknown): boolean {
  return error instanceof StoreError || (error instanceof CliError && AWAY.includes(error.code))
}

function recordOf(cli: Cli, dir: string, isFresh: boolean): RollRecord {
  const file = readCluster(dir)
  if (file === null) throw noCluster(dir)
  const text = isFresh ? null : readIfThere(recordPath(dir))
  if (text !== null) {
    const record = JSON.parse(text) as RollRecord
    cli.note(`going on with the roll begun at ${record.startedAt}`)
    return record
  }
  const startedAt = new Date(systemClock.nowMs()).toISOString()
  const nodes = file.nodes.map((node) => ({ id: node.id, process: processOf(node) ?? 'none' }))
  const record: RollRecord = { startedAt, nodes }
  writeAtomically(recordPath(dir), `${JSON.stringify(record)}\n`)
  return record
}

function noCluster(dir: string): CliError {
  const message = `there is no cluster of this machine in ${dir}: roll where "farebox up" has started it`
  return new CliError(EXIT.noCluster, 'no_cluster', message)
}

function recordPath(dir: string): string {
  return join(dir, 'roll.json')
}

function processOf({ process }: NodeRecord): string | null {
  return process !== null && isAlive(process) ? `${process.pid}:${process.startTicks}` : null
}

async function look(common: CommonOptions): Promise<RollView> {
  const [view, status] = [await nodesOf(common), readCluster(common.dir)]
  const nodes = await Promise.all(
    (status?.nodes ?? []).map(async (node): Promise<RollNode> => {
      const item = view.items.find(({ id }) => id === node.id)
      return {
        id: node.id,
        process: processOf(node),
        state: (item?.state ?? 'dead') as RollNode['state'],
        isHeard: item?.isHeard === true,
        isReady: await isReady(node.adminUrl),
      }
    }),
  )
  return { version: view.version, applied: view.appliedVersion, nodes }
}

async function isReady(adminUrl: string): Promise<boolean> {
  const answer = await fetch(`${adminUrl}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null)
  return answer?.status === 200
}

async function perform(common: CommonOptions, step: Extract<RollStep, { do: 'drain' | 'end' | 'start' }>) {
  if (step.do === 'drain') await changeNode(common, step.id, 'drain', {})
  else if (step.do === 'end') await endNode(common.dir, step.id)
  else {
    await startNode(packageRoot(), common.dir, step.id).catch((error: unknown) => {
      throw cliError(error)
    })
  }
}

function noteOf({ do: what, id }: Extract<RollStep, { do: 'drain' | 'end' | 'start' }>): string {
  return { drain: `${id}: out of the traffic`, end: `${id}: ended`, start: `${id}: starting` }[what]
}

function gaveUp(dir: string, id: string, why: string): CliError {
  const message =
    `stopped at ${id}, which ${why}. Its log ends with:\n${lastLines(dir, id, 5)}\n` +
    `When it is well again ("farebox node start ${id}"), "farebox roll" goes on`
  return new CliError(EXIT.refused, 'unhealthy_node', message, { nodeId: id, why })
}
