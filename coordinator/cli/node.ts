import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WEIGHT_MAX, type NodeChangeResult } from '../operations/fleet-change.ts'
import { nodesView, type NodesView } from '../operations/views.ts'
import { addNode, startNode } from '../supervise/cluster.ts'
import type { NodeRecord } from '../supervise/cluster-file.ts'
import { compareVersions } from '../../stock/core/words.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type Cli, type CommandResult, type CommonOptions, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { isId } from './sale-path.ts'
import { packageRoot } from './package-root.ts'
import { EXPECT_OPTION, parseVersion } from './version-option.ts'

const LOOK_EVERY_MS = 100
/** nginx follows within a second or two; longer, and the command says so instead of waiting on. */
const TRAFFIC_WITHIN_MS = 10_000

export const registerNode: RegisterCommand = (cli) => {
  registerStarting(cli)
  registerDrain(cli)
  registerSteering(cli)
}

function registerStarting(cli: Cli): void {
  const node = nodeGroup(cli)
  node
    .command('add')
    .option('--weight <w>', 'its share of traffic and quota', '1')
    .description('start one more node; it joins the fleet and nginx by itself')
    .action(
      cli.action(async (common, options: { weight: string }) =>
        told('added', await addNode(packageRoot(), resolve(common.dir), parseWeight('--weight', options.weight))),
      ),
    )
  node
    .command('start')
    .argument('<id>')
    .description('start a node that died, or take one that was drained back into the traffic')
    .action(
      cli.action(async (common, _options, id: string) => {
        const record = await startNode(packageRoot(), resolve(common.dir), id)
        const { items } = await nodesOf(common)
        const isOut = items.some((item) => item.id === id && (item.state === 'drained' || item.state === 'draining'))
        if (isOut) await changeNode(common, id, 'resume', {})
        return told('started', record)
      }),
    )
}

interface DrainOptions {
  readonly expect?: string
  readonly force?: boolean
  readonly wait: boolean
  readonly timeout: string
}

function registerDrain(cli: Cli): void {
  nodeGroup(cli)
    .command('drain')
    .argument('<id>')
    .option(...EXPECT_OPTION)
    .option('--force', 'also the last live node: then nobody sells')
    .option('--no-wait', 'do not wait until it has drained')
    .option('--timeout <seconds>', 'how long to wait', '60')
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description('take a node out of the traffic without losing a request; it goes on running, and can come back')
    .action(
      cli.action(async (common, options: DrainOptions, id: string) => {
        const waitMs = parseSeconds(options.timeout) * 1000
        const expected = parseVersion(options.expect)
        const result = await changeNode(common, id, 'drain', { expected, evenTheLast: options.force === true })
        if (!options.wait) return changed(result, `node ${id} drains`, {})
        await untilDrained(common, id, waitMs)
        return changed(result, `node ${id} has drained: it gets no requests and has none in hand`, {})
      }),
    )
}

function registerSteering(cli: Cli): void {
  nodeGroup(cli)
    .command('resume')
    .argument('<id>')
    .option(...EXPECT_OPTION)
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description('take a drained node back into the traffic')
    .action(
      cli.action(async (common, options: { expect?: string }, id: string) => {
        const result = await changeNode(common, id, 'resume', { expected: parseVersion(options.expect) })
        return inTraffic(common, result, `node ${id} is live`)
      }),
    )
  nodeGroup(cli)
    .command('weight')
    .argument('<id>')
    .argument('<weight>', `its share of traffic and quota, 1 to ${WEIGHT_MAX}`)
    .option(...EXPECT_OPTION)
    .option('--yes', 'accepted for scripts; nothing is asked')
    .description("change a node's share of traffic and quota, in every sale that has no shares of its own")
    .action(
      cli.action(async (common, options: { expect?: string }, id: string, text: string) => {
        const weight = parseWeight('weight', text)
        const result = await changeNode(common, id, 'weight', { weight, expected: parseVersion(options.expect) })
        return inTraffic(common, result, `node ${id} weighs ${result.after.weight} (before: ${result.before.weight})`)
      }),
    )
}

function nodeGroup(cli: Cli) {
  return group(cli.program, 'node', 'steer the nodes')
}

export async function changeNode(
  common: CommonOptions,
  id: string,
  verb: 'drain' | 'resume' | 'weight',
  body: object,
): Promise<NodeChangeResult> {
  if (!isId(id)) throw new CliError(EXIT.usage, 'usage', `"${id}" is no node id: see "farebox nodes"`)
  const path = `/admin/nodes/${id}/${verb}`
  return ask<NodeChangeResult>(common, { method: 'POST', path, body: JSON.stringify(body) }, null)
}

export function nodesOf(common: CommonOptions): Promise<NodesView> {
  const call = { method: 'GET', path: '/admin/nodes' } as const
  return ask<NodesView>(common, call, async ({ port, rules }) => nodesView(await port.fleet.read(), rules))
}

async function untilDrained(common: CommonOptions, id: string, waitMs: number): Promise<void> {
  const endMs = performance.now() + waitMs
  for (;;) {
    const state = (await nodesOf(common)).items.find((node) => node.id === id)?.state
    if (state === 'drained') return
    if (state !== 'draining') {
      throw new CliError(EXIT.refused, 'not_draining', `node ${id} is ${state ?? 'gone'}: somebody has changed it`)
    }
    if (performance.now() > endMs) {
      const message = `node ${id} still drains after ${waitMs / 1000} s: requests arrive, or are not finished`
      throw new CliError(EXIT.refused, 'still_draining', message)
    }
    await sleep(LOOK_EVERY_MS)
  }
}

/** Waits until nginx follows. */
async function inTraffic(common: CommonOptions, result: NodeChangeResult, text: string): Promise<CommandResult> {
  const endMs = performance.now() + TRAFFIC_WITHIN_MS
  for (;;) {
    const { appliedVersion } = await nodesOf(common)
    const applied = compareVersions(appliedVersion, result.version) >= 0
    if (applied || performance.now() > endMs) {
      return changed(result, applied ? text : `${text}; nginx has not followed yet: see "farebox status"`, { applied })
    }
    await sleep(LOOK_EVERY_MS)
  }
}

function changed(result: NodeChangeResult, text: string, more: object): CommandResult {
  return { json: { ...result, ...more }, text: result.outcome === 'unchanged' ? `nothing to do: ${text}` : text }
}

function told(done: string, { id, url, adminUrl, weight, process }: NodeRecord): CommandResult {
  const json = { id, url, adminUrl, pid: process?.pid ?? null, weight }
  return { json, text: `node ${id} ${done}: ${url}, weight ${weight}` }
}

export function parseWeight(what: string, text: string): number {
  const weight = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (weight >= 1 && weight <= WEIGHT_MAX) return weight
  throw new CliError(EXIT.usage, 'usage', `${what} ${text}: a whole number from 1 to ${WEIGHT_MAX} is expected`)
}

function parseSeconds(text: string): number {
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (seconds >= 1) return seconds
  throw new CliError(EXIT.usage, 'usage', `--timeout ${text}: a whole number of seconds is expected`)
}
