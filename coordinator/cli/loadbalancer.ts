/**
 * `loadbalancer`: nginx by hand, as the fleet's record wants it. Where `up` started the cluster its coordinator does the
 * same by itself; on a machine of nginx alone this is how it follows the fleet.
 */
import { resolve } from 'node:path'
import { ApplyError, applyPlan, findNginx } from '../../loadbalancer/apply.ts'
import { configPath, render, TopologyError, type Topology as Edge } from '../../loadbalancer/render.ts'
import { topologyOf, type Topology } from '../plan/topology.ts'
import { readCluster, type NginxRecord } from '../supervise/cluster-file.ts'
import { edgeTopology } from '../supervise/edge.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type CommandResult, type CommonOptions, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { packageRoot } from './package-root.ts'

interface EdgeOptions {
  readonly nginxDir?: string
  readonly listen?: string
  readonly statusPort?: string
}

const PLACE = [
  ['--nginx-dir <dir>', 'directory of nginx (default: that of the cluster in --dir)'],
  ['--listen <host:port>', 'where buyers come (default: likewise)'],
  ['--status-port <port>', 'loopback port that says which plan is served (default: likewise)'],
] as const

export const registerLoadBalancer: RegisterCommand = (cli) => {
  const edge = group(cli.program, 'loadbalancer', 'nginx in front of the fleet')
  const renderCommand = edge
    .command('render')
    .description('the configuration of nginx for the fleet as it is now; changes nothing')
    .action(cli.action(async (common, options: EdgeOptions) => rendered(await edgeOf(common, options))))
  const applyCommand = edge
    .command('apply')
    .description('write that configuration and have nginx follow it, if it runs; an older plan than its own is refused')
    .action(cli.action(async (common, options: EdgeOptions) => apply(await edgeOf(common, options))))
  for (const command of [renderCommand, applyCommand]) for (const [flags, what] of PLACE) command.option(flags, what)
}

async function edgeOf(common: CommonOptions, options: EdgeOptions): Promise<Edge> {
  const nginx = placeOf(common, options)
  const call = { method: 'GET', path: '/admin/topology' } as const
  const topology = await ask<Topology>(common, call, async ({ port }) => {
    const { version, nodes, orders } = await port.fleet.read()
    return topologyOf(version, nodes, orders)
  })
  return edgeTopology({ nginx }, topology, packageRoot())
}

function placeOf({ dir }: CommonOptions, { nginxDir, listen, statusPort }: EdgeOptions): NginxRecord {
  const known = readCluster(dir)?.nginx
  const place = /^(.+):(\d{1,5})$/.exec(listen ?? (known === undefined ? '' : `${known.host}:${known.port}`))
  const here = nginxDir === undefined ? known?.dir : resolve(nginxDir)
  const status = statusPort ?? known?.statusPort
  if (here === undefined || place === null || status === undefined) {
    const message = `there is no cluster of "up" in ${dir}: --nginx-dir, --listen HOST:PORT and --status-port are needed`
    throw new CliError(EXIT.usage, 'usage', message)
  }
  const [, host = '', port] = place
  return { config: configPath(here), dir: here, host, port: Number(port), statusPort: Number(status), process: null }
}

async function rendered(edge: Edge): Promise<CommandResult> {
  const text = told(() => render(edge))
  return { json: { version: edge.version, path: configPath(edge.dir), config: text }, text: text.trimEnd() }
}

async function apply(edge: Edge): Promise<CommandResult> {
  told(() => render(edge))
  const result = await applyPlan(edge).catch((error: unknown) => {
    throw failureOf(error)
  })
  const { outcome, version } = result
  const [path, label] = [configPath(edge.dir), `${version.era}.${version.seq}`]
  if (outcome === 'stale') {
    const { era, seq } = result.newest
    const message = `nginx has another plan, of version ${era}.${seq}, and this one of ${label} is refused: look again`
    throw new CliError(EXIT.refused, 'outdated', message, { expected: version, version: result.newest })
  }
  const isRunning = findNginx(edge.dir) !== null
  const what = outcome === 'unchanged' ? 'nginx does so already' : isRunning ? 'nginx follows' : `written to ${path}`
  const hint = isRunning ? '' : '; it does not run'
  return { json: { outcome, version, path, isRunning }, text: `plan ${label}: ${what}${hint}` }
}

/** @throws CliError of usage where the options mean no place for nginx. */
function told<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TopologyError) throw new CliError(EXIT.usage, 'usage', error.message)
    throw error
  }
}

function failureOf(error: unknown): unknown {
  if (!(error instanceof ApplyError)) return error
  if (String(error.cause).includes('ENOENT')) {
    return new CliError(EXIT.missingProgram, 'missing_program', 'nginx is not installed', { program: 'nginx' })
  }
  return new CliError(EXIT.refused, error.code, error.message)
}
