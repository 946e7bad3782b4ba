/**
 * A real cluster in a directory of its own, as an operator starts one: through bin/farebox and nothing else.
 *
 * Every pid that was ever seen is remembered with its start time; `end` fails when one of them is left.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve as absolute } from 'node:path'
import { until } from './wait.ts'

const ROOT = absolute(import.meta.dirname, '..')
const FAREBOX = join(ROOT, 'bin', 'farebox')
const COMMAND_DEADLINE_MS = 90_000

export interface NodeView {
  readonly id: string
  readonly url: string
  readonly adminUrl: string
  readonly pid: number
  readonly weight: number
}

export interface OrdersView {
  readonly id: string
  readonly url: string
  readonly adminUrl: string
  readonly pid: number
}

/** What `up --json` prints. */
export interface ClusterView {
  readonly dir: string
  readonly url: string
  readonly adminUrl: string
  readonly nodes: readonly NodeView[]
  readonly redis: { readonly url: string; readonly pid: number; readonly config: string }
  readonly orders: readonly OrdersView[]
  readonly coordinators: readonly { readonly id: string; readonly adminUrl: string; readonly pid: number }[]
  readonly nginx: { readonly pid: number; readonly config: string }
}

export interface Run {
  readonly code: number
  /** Null when stdout was empty. */
  readonly json: unknown
  readonly stderr: string
}

export interface AuditReport {
  readonly saleId: string
  readonly fares: readonly {
    readonly id: string
    readonly stock: number
    readonly remaining: number
    readonly held: number
    readonly paid: number
    readonly countedHeld: number
    readonly countedPaid: number
    readonly ledgerHeld: number | null
    readonly ledgerPaid: number | null
    readonly ledgerPending: number | null
    readonly diff: number
  }[]
  readonly nodes: readonly { readonly id: string; readonly state: string }[]
  readonly buyersOverLimit: number
  readonly problems: readonly { readonly rule: string; readonly witness: string }[]
  readonly ok: boolean
}

export interface FleetNode {
  readonly id: string
  readonly epoch: number
  readonly state: string
}

/** Once per test file; quick when nothing changed. */
function build(): void {
  const { status, stderr, stdout } = spawnSync(process.execPath, [join(ROOT, 'setup', 'build.mjs')])
  if (status !== 0) throw new Error(`the build failed:\n${String(stdout)}${String(stderr)}`)
}
build()

export interface Workspace {
  readonly root: string
  /** For `--dir`; not there yet. */
  readonly dir: string
  file(name: string, text: string): string
}

export function workspace(): Workspace {
  const root = mkdtempSync(join(tmpdir(), 'farebox-e2e-'))
  return {
    root,
    dir: join(root, 'cluster'),
    file(name, text) {
      mkdirSync(root, { recursive: true })
      const path = join(root, name)
      writeFileSync(path, text)
      return path
    },
  }
}

/** Runs one command with `--json`; anything but exactly one document on stdout is an error here. */
export async function farebox(dir: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Run> {
  const [command = '', ...rest] = args
  const { code, stdout, stderr } = await runProgram(
    process.execPath,
    [FAREBOX, command, ...rest, '--dir', dir, '--json'],
    environment,
  )
  try {
    return { code, json: JSON.parse(stdout) as unknown, stderr }
  } catch (cause) {
    throw new Error(`farebox ${args.join(' ')} printed no JSON document:\n${stdout}\n${stderr}`, { cause })
  }
}

export interface Output {
  /** -1: ended by a signal, or never started. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export function runProgram(
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Output> {
  const options = {
    env: { ...process.env, ...environment },
    timeout: COMMAND_DEADLINE_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
  } as const
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, stdout, stderr })
    })
  })
}

/** A foreground `up`, as a person at a terminal has it. */
export function startForeground(dir: string, args: readonly string[]): { child: ChildProcess; stdout: () => string } {
  const child = spawn(process.execPath, [FAREBOX, 'up', ...args, '--dir', dir, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  return { child, stdout: () => text }
}

export interface UpOptions {
  readonly nodes?: number
  readonly weights?: readonly number[]
  /** Text of the sale file. */
  readonly sale?: string
  /** Text of the configuration file. */
  readonly config?: string
  /** Whatever dies is started again. */
  readonly restart?: boolean
}

export class Cluster {
  readonly view: ClusterView
  readonly saleId: string
  readonly #space: Workspace
  readonly #known = new Map<number, string>()
  readonly #ownChildren: ChildProcess[] = []
  readonly #tokens = new Map<string, Promise<string>>()

  private constructor(space: Workspace, view: ClusterView, saleId: string) {
    this.#space = space
    this.view = view
    this.saleId = saleId
    this.#remember()
  }

  static async up(options: UpOptions, space = workspace()): Promise<Cluster> {
    const { nodes, weights, sale, config, restart } = options
    const args = ['up', '--detach', '--port', '0']
    if (nodes !== undefined) args.push('--nodes', String(nodes))
    if (weights !== undefined) args.push('--weights', weights.join(','))
    if (sale !== undefined) args.push('--sale', space.file('sale.yaml', sale))
    if (config !== undefined) args.push('--config', space.file('config.yaml', config))
    if (restart === true) args.push('--restart')
    const run = await farebox(space.dir, args)
    if (run.code !== 0) {
      rmSync(space.root, { recursive: true, force: true })
      throw new Error(`up exited with ${run.code}: ${JSON.stringify(run.json)}\n${run.stderr}`)
    }
    return new Cluster(space, run.json as ClusterView, /^id: (\S+)$/m.exec(sale ?? '')?.[1] ?? '')
  }

  get dir(): string {
    return this.view.dir
  }

  get space(): Workspace {
    return this.#space
  }

  node(id: string): NodeView {
    const found = this.view.nodes.find((node) => node.id === id)
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found
  }

  farebox(...args: string[]): Promise<Run> {
    return farebox(this.dir, args)
  }

  /** The document of a command that must succeed. */
  async read<T>(...args: string[]): Promise<T> {
    const run = await this.farebox(...args)
    if (run.code !== 0) {
      throw new Error(`farebox ${args.join(' ')} exited with ${run.code}: ${JSON.stringify(run.json)}\n${run.stderr}`)
    }
    return run.json as T
  }

  async audit(saleId = this.saleId): Promise<AuditReport> {
    const run = await this.farebox('audit', saleId)
    const report = run.json as AuditReport
    if ((run.code === 0) !== report.ok) throw new Error(`audit exits with ${run.code}: ${JSON.stringify(report)}`)
    return report
  }

  async fleet(): Promise<readonly FleetNode[]> {
    return (await this.read<{ items: readonly FleetNode[] }>('nodes')).items
  }

  /** Buyers `prefix1`… with their tokens. */
  async tokens(count: number, prefix = 'buyer-'): Promise<{ buyer: string; token: string }[]> {
    const args = ['token', '--count', String(count), '--prefix', prefix]
    return (await this.read<{ items: { buyer: string; token: string }[] }>(...args)).items
  }

  /** Made once for each buyer: it is good for longer than any test. */
  token(buyer: string): Promise<string> {
    const known = this.#tokens.get(buyer)
    if (known !== undefined) return known
    const made = this.read<{ token: string }>('token', '--buyer', buyer).then(({ token }) => token)
    this.#tokens.set(buyer, made)
    return made
  }

  /** `redis-server CONFIG` on the printed file, by hand. */
  startRedis(): ChildProcess {
    const child = spawn('redis-server', [this.view.redis.config], { stdio: 'ignore' })
    this.#ownChildren.push(child)
    return child
  }

  accessLog(): string {
    return readFileSync(join(this.dir, 'nginx', 'access.log'), 'utf8')
  }

  /** Every process, the supervisor among them. */
  pids(): Map<string, number> {
    const file = JSON.parse(readFileSync(join(this.dir, 'cluster.json'), 'utf8')) as ClusterFile
    const named: [string, PidRecord | null][] = [
      ['supervisor', file.supervisor],
      ['redis', file.redis.process],
      ['nginx', file.nginx.process],
      ...[...file.nodes, ...file.orders, ...file.coordinators].map((one): [string, PidRecord | null] => [
        one.id,
        one.process,
      ]),
    ]
    return new Map(named.flatMap(([name, process]) => (process === null ? [] : [[name, process.pid]])))
  }

  /** Down, purged, and proof that nothing is left: no process, no directory. */
  async end(): Promise<void> {
    this.#remember()
    const down = await farebox(this.dir, ['down', '--purge', '--yes'])
    for (const child of this.#ownChildren) child.kill('SIGKILL')
    const left = [...this.#known].filter(([pid, started]) => startOf(pid) === started)
    for (const [pid] of left) process.kill(pid, 'SIGKILL')
    const dirLeft = existsSync(this.dir)
    rmSync(this.#space.root, { recursive: true, force: true })
    const ours = new Set(this.#ownChildren.map(({ pid }) => pid))
    const wrong = left.filter(([pid]) => !ours.has(pid))
    if (down.code !== 0 || wrong.length > 0 || dirLeft) {
      const pids = wrong.map(([pid]) => pid).join(', ')
      throw new Error(`down left something: exit ${down.code}, processes ${pids}, directory ${dirLeft}: ${down.stderr}`)
    }
  }

  #remember(): void {
    if (!existsSync(join(this.dir, 'cluster.json'))) return
    for (const pid of this.pids().values()) {
      const started = startOf(pid)
      if (started !== null) this.#known.set(pid, started)
    }
  }
}

interface PidRecord {
  readonly pid: number
}

interface ClusterFile {
  readonly supervisor: PidRecord | null
  readonly redis: { readonly process: PidRecord | null }
  readonly nginx: { readonly process: PidRecord | null }
  readonly nodes: readonly { readonly id: string; readonly process: PidRecord | null }[]
  readonly orders: readonly { readonly id: string; readonly process: PidRecord | null }[]
  readonly coordinators: readonly { readonly id: string; readonly process: PidRecord | null }[]
}

/** When the process started, as text; null when it is gone or only waits to be reaped. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

export function isRunning(pid: number): boolean {
  return startOf(pid) !== null
}

export async function untilGone(pids: Iterable<number>): Promise<void> {
  for (const pid of pids) await until(`process ${pid} to be gone`, () => !isRunning(pid))
}

/** A sale file. Holds last long: nothing lapses during a test unless it wants that. */
export function saleText(
  fares: Readonly<Record<string, number>>,
  more: Readonly<Record<string, unknown>> = {},
): string {
  const { id = 'rush', limitPerBuyer = 2, holdSeconds = 600, ...others } = more
  const lines = Object.entries(fares).map(
    ([fare, stock]) => `  - { id: ${fare}, name: Seat, stock: ${stock}, price: { amount: 1200, currency: EUR } }`,
  )
  return [
    `id: ${String(id)}`,
    'name: The rush',
    `limitPerBuyer: ${String(limitPerBuyer)}`,
    `holdSeconds: ${String(holdSeconds)}`,
    ...Object.entries(others).map(([name, value]) => `${name}: ${String(value)}`),
    'fares:',
    ...lines,
    '',
  ].join('\n')
}
