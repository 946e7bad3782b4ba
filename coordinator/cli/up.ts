/**
 * `up`: a whole cluster on this machine, in the foreground until Ctrl-C, or apart from the terminal with --detach.
 *
 * The result is printed when everything is ready; supervision goes on after that, which keeps this process alive.
 * So the frame must not end the process when a command's work returns.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { readIfThere, writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { checkOperatorConfig } from '../supervise/cluster-config.ts'
import { startCluster } from '../supervise/cluster.ts'
import { clusterView, readCluster } from '../supervise/cluster-file.ts'
import type { ClusterView } from '../supervise/cluster-file.ts'
import { lastLines, logPath, stopProcess } from '../supervise/processes.ts'
import { readSaleText } from '../supervise/sale.ts'
import type { SaleText } from '../supervise/sale.ts'
import { supervise } from '../supervise/supervisor.ts'
import { identify } from '../../runtime/process-identity.ts'
import { cliError } from './cluster-failure.ts'
import { CliError, EXIT } from './frame.ts'
import type { Cli, CommandResult, CommonOptions, ExitCode } from './frame.ts'
import { packageRoot } from './package-root.ts'

interface UpOptions {
  readonly nodes?: string
  readonly weights?: string
  readonly port?: string
  readonly sale?: string
  readonly config?: string
  readonly detach?: boolean
  readonly restart?: boolean
}

/** The first start makes a database, which on a busy machine takes half a minute. */
const READY_DEADLINE_MS = 75_000
/** Longer than any start, with all its deadlines, may take. */
const DETACHED_DEADLINE_MS = 120_000

export function registerUp(cli: Cli): void {
  cli.program
    .command('up')
    .description('start a whole cluster on this machine: Redis, nodes, a coordinator, nginx')
    .option('--nodes <N>', 'how many nodes (default: as stored, else 4)')
    .option('--weights <W,W,...>', 'their weights, one each (default: as stored, else 1)')
    .option('--port <PORT>', 'where nginx listens; 0 takes a free one (default: as stored, else 8080)')
    .option('--sale <FILE>', 'make and open this sale')
    .option('--config <FILE>', 'configuration of the cluster')
    .option('--detach', 'return when everything is ready, and leave it running')
    .option('--restart', 'start again what dies')
    .action(
      cli.action((common: CommonOptions, options: UpOptions) => {
        const run = options.detach ? detached : foreground
        return run(cli, { ...common, dir: resolve(common.dir) }, options)
      }),
    )
}

/** What a detached start reports to the `up` that waits for it. */
interface Report {
  readonly pid: number
  readonly error: {
    readonly exitCode: ExitCode
    readonly code: string
    readonly message: string
    readonly details: unknown
  } | null
}

async function foreground(cli: Cli, common: CommonOptions, options: UpOptions): Promise<CommandResult> {
  const { dir } = common
  const interrupt = new AbortController()
  const asked = new Promise<void>((resolveAsked) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        interrupt.abort()
        resolveAsked()
      })
    }
  })
  const note = (line: string): void => cli.note(line)
  try {
    const sale = checkFiles(options)
    const cluster = await startCluster({
      dir,
      root: packageRoot(),
      nodes: options.nodes === undefined ? null : wholeNumber('--nodes', options.nodes, 1, 64),
      weights: options.weights === undefined ? null : parseWeights(options.weights),
      port: options.port === undefined ? null : wholeNumber('--port', options.port, 0, 65_535),
      configFile: options.config ?? null,
      sale,
      environment: process.env,
      readyDeadlineMs: READY_DEADLINE_MS,
      note,
      signal: interrupt.signal,
    })
    const stopWatching = supervise({ root: packageRoot(), dir, restart: options.restart === true, note })
    void endWhenAsked(asked, async () => {
      note('stopping')
      await stopWatching()
      await cluster.stop()
    })
    report(dir, null)
    return ready(clusterView(cluster.file), sale, 'Stop it with Ctrl-C.')
  } catch (error) {
    const failure = cliError(error)
    const { exitCode, code, message, details } = failure
    report(dir, { exitCode, code, message, details })
    throw failure
  }
}

/** What the operator wrote is judged before anything starts. @throws CliError with all faults at once. */
function checkFiles({ config, sale }: UpOptions): SaleText | null {
  try {
    checkOperatorConfig(config ?? null, process.env)
    return sale === undefined ? null : readSaleText(sale)
  } catch (error) {
    throw cliError(error)
  }
}

async function endWhenAsked(asked: Promise<void>, stop: () => Promise<void>): Promise<void> {
  await asked
  let exitCode: number = EXIT.done
  try {
    await stop()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    exitCode = EXIT.refused
  }
  process.exit(exitCode)
}

async function detached(_cli: Cli, { dir }: CommonOptions, options: UpOptions): Promise<CommandResult> {
  const sale = checkFiles(options)
  mkdirSync(dirname(logPath(dir, 'supervisor')), { recursive: true })
  const log = openSync(logPath(dir, 'supervisor'), 'a')
  const args = [join(packageRoot(), 'bin', 'farebox'), 'up', '--dir', dir, ...forwarded(options)]
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, [REPORT_VARIABLE]: '1' },
  })
  closeSync(log)
  child.unref()
  const pid = child.pid ?? 0
  const identity = identify(pid)
  const path = reportPath(dir, pid)
  try {
    const { error } = await waitFor(
      () => {
        const text = readIfThere(path)
        if (text !== null) return JSON.parse(text) as Report
        if (child.exitCode === null && child.signalCode === null) return null
        const lines = lastLines(dir, 'supervisor')
        throw new CliError(EXIT.refused, 'process_failed', `the supervisor ended. Its log ends with:\n${lines}`)
      },
      { deadlineMs: DETACHED_DEADLINE_MS, what: 'the cluster to be ready' },
    )
    if (error) throw new CliError(error.exitCode, error.code, error.message, error.details)
  } catch (error) {
    if (child.exitCode === null) await stopProcess(identity, 30_000)
    throw error
  } finally {
    rmSync(path, { force: true })
  }
  const file = readCluster(dir)
  if (!file) throw new CliError(EXIT.refused, 'process_failed', `${dir}/cluster.json is gone`)
  return ready(clusterView(file), sale, `Stop it with: bin/farebox down --dir ${dir}`)
}

const REPORT_VARIABLE = 'FAREBOX_UP_REPORT'
/** Read once and taken away: the processes that `up` starts refuse a name that is no option. */
const isReportWanted = process.env[REPORT_VARIABLE] !== undefined
delete process.env[REPORT_VARIABLE]

function reportPath(dir: string, pid: number): string {
  return join(dir, `up.${pid}.report.json`)
}

function report(dir: string, error: Report['error']): void {
  if (!isReportWanted) return
  writeAtomically(reportPath(dir, process.pid), JSON.stringify({ pid: process.pid, error } satisfies Report))
}

function forwarded(options: UpOptions): string[] {
  const { nodes, weights, port, sale, config } = options
  const given = Object.entries({ nodes, weights, port, sale, config })
  const values = given.flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]))
  return [...values, ...(options.restart ? ['--restart'] : [])]
}

function ready(view: ClusterView, sale: SaleText | null, stop: string): CommandResult {
  const lines = [
    `Ready: ${view.url}  (${view.nodes.length} nodes, weights ${view.nodes.map(({ weight }) => weight).join(':')})`,
    ...(sale ? ['', 'Buy a first ticket:', '', firstPurchase(view, sale), ''] : []),
    stop,
  ]
  return { json: view, text: lines.join('\n') }
}

function firstPurchase({ dir, url }: ClusterView, { id, fareId }: SaleText): string {
  return [
    `  curl -i -X POST ${url}/api/sales/${id}/fares/${fareId}/orders \\`,
    `    -H "Authorization: Bearer $(${join(packageRoot(), 'bin', 'farebox')} token --dir ${dir} --buyer alice)" \\`,
    `    -H "Idempotency-Key: my-first-purchase" -d '{"quantity":1}'`,
  ].join('\n')
}

function parseWeights(text: string): number[] {
  return text.split(',').map((part) => wholeNumber('--weights', part, 1, 1_000_000))
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text.trim()) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw new CliError(EXIT.usage, 'bad_usage', `${option}: "${text}" is not a whole number from ${min} to ${max}`)
}
