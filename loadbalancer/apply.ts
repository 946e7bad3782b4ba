/**
 * Brings a rendered plan into a running nginx, and starts and stops that nginx.
 *
 * Two writers may hold plans of different age (a stale leader wakes up). So the version of the newest plan ever
 * accepted is written down *before* the plan takes effect, and an older one is refused. "Applied" means: a new
 * worker answers with the plan's version and every worker of the old plan has stopped accepting connections.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { readIfThere, takeLock, writeAtomically } from './atomic-file.ts'
import { keepClients, letClientsGo, sweepFlags } from './closing.ts'
import { childrenOf, commandLine, hasOpen, identify, isAlive, signalProcess } from '../runtime/process-identity.ts'
import type { ProcessIdentity } from '../runtime/process-identity.ts'
import { comparePlans, configPath, EDGE_DIRECTORIES, FIRST_PLAN, render } from './render.ts'
import type { PlanVersion, Topology } from './render.ts'
import { readStatus, servedVersion, serves } from './status.ts'
import { waitFor } from './wait.ts'

export class ApplyError extends Error {
  override readonly name = 'ApplyError'
  readonly code: 'bad_configuration' | 'not_started' | 'not_served' | 'locked'

  constructor(code: ApplyError['code'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

export interface ApplyOptions {
  /** The nginx program. Default: from PATH. */
  readonly program?: string
  readonly deadlineMs?: number
}

/** The newest plan ever accepted in a directory. */
export interface Applied {
  readonly version: PlanVersion
  /** The version in the text that nginx runs: lower when a newer plan said the same. */
  readonly textVersion: PlanVersion
  /** Of the text without its version. */
  readonly hash: string
  readonly statusPort: number
}

export type ApplyResult =
  | { readonly outcome: 'applied'; readonly version: PlanVersion; readonly hash: string; readonly reloaded: boolean }
  /** The plan says what nginx does already: no reload, because each one costs clients their connections. */
  | { readonly outcome: 'unchanged'; readonly version: PlanVersion; readonly hash: string }
  | { readonly outcome: 'stale'; readonly version: PlanVersion; readonly newest: PlanVersion }

const DEADLINE_MS = 10_000

export function readApplied(dir: string): Applied | null {
  const text = readIfThere(appliedPath(dir))
  return text === null ? null : (JSON.parse(text) as Applied)
}

/**
 * Writes the plan and, where nginx runs, reloads it.
 * @throws ApplyError when nginx refuses the text, or does not serve it in time; the old one then goes on.
 */
export async function applyPlan(topology: Topology, options: ApplyOptions = {}): Promise<ApplyResult> {
  const { dir } = topology
  const release = await lock(dir, options.deadlineMs ?? DEADLINE_MS)
  try {
    const newest = readApplied(dir)
    const hash = hashOf(topology)
    const master = findNginx(dir)
    const served = master && newest && (await servedVersion(newest.statusPort))
    sweepFlags(dir, served)
    if (newest && isStale(newest, topology.version, hash, master !== null)) {
      return { outcome: 'stale', version: topology.version, newest: newest.version }
    }
    if (newest && newest.hash === hash && served && comparePlans(served, newest.textVersion) === 0) {
      writeApplied(dir, { ...newest, version: topology.version })
      return { outcome: 'unchanged', version: topology.version, hash }
    }
    const text = candidate(topology, options)
    if (newest && served) await letClientsGo(dir, served, newest.statusPort)
    try {
      await replace(topology, text, master, options)
    } catch (error) {
      if (served) keepClients(dir, served)
      throw error
    }
    return { outcome: 'applied', version: topology.version, hash, reloaded: master !== null }
  } finally {
    release()
  }
}

/** Two different texts of one version: only while nothing runs, when whoever starts the cluster sets the ports anew. */
function isStale(newest: Applied, version: PlanVersion, hash: string, running: boolean): boolean {
  const order = comparePlans(version, newest.version)
  return order < 0 || (order === 0 && hash !== newest.hash && running)
}

/** The plan's text, which nginx has found good. */
function candidate(topology: Topology, options: ApplyOptions): string {
  const { dir } = topology
  for (const name of EDGE_DIRECTORIES) mkdirSync(`${dir}/${name}`, { recursive: true })
  const text = render(topology)
  const path = `${configPath(dir)}.next`
  writeAtomically(path, text)
  testConfig(dir, path, options)
  return text
}

async function replace(
  topology: Topology,
  text: string,
  master: ProcessIdentity | null,
  options: ApplyOptions,
): Promise<void> {
  const { dir, version, statusPort } = topology
  writeApplied(dir, { version, textVersion: version, hash: hashOf(topology), statusPort })
  writeAtomically(configPath(dir), text)
  if (master) await reload(topology, master, options.deadlineMs ?? DEADLINE_MS)
}

/** Starts nginx on the plan last applied. Its pid is that of the master, which is our child and no daemon. */
export async function startNginx(dir: string, options: ApplyOptions = {}): Promise<ProcessIdentity> {
  // A plan applied between reading the file and the first answer would not be loaded, and nobody would notice.
  const release = await lock(dir, options.deadlineMs ?? DEADLINE_MS)
  try {
    return await startLocked(dir, options)
  } finally {
    release()
  }
}

async function startLocked(dir: string, options: ApplyOptions): Promise<ProcessIdentity> {
  const applied = readApplied(dir)
  if (!applied) throw new ApplyError('not_started', `no plan was applied in ${dir}`)
  await endOrphans(dir)
  sweepFlags(dir, null)
  mkdirSync(dirname(logPath(dir)), { recursive: true })
  const log = openSync(`${dir}/error.log`, 'a')
  const child = spawn(program(options), nginxArguments(dir, configPath(dir)), {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
  })
  closeSync(log)
  let failure: unknown = null
  child.on('error', (error) => (failure = error))
  child.on('exit', (code, signal) => (failure ??= new Error(`nginx ended with ${signal ?? code}`)))
  child.unref()
  try {
    return await waitFor(
      async () => {
        if (failure) throw failure
        const identity = child.pid === undefined ? null : identify(child.pid)
        return (await serves(applied.statusPort, applied.textVersion)) && identity
      },
      { deadlineMs: options.deadlineMs ?? DEADLINE_MS, what: 'nginx to answer' },
    )
  } catch (error) {
    const started = child.pid === undefined ? null : identify(child.pid)
    if (started) await stopNginx(started, 1000)
    throw new ApplyError('not_started', `nginx did not start:\n${lastLines(dir)}`, error)
  }
}

/** Lets requests end, then ends what is left. */
export async function stopNginx(master: ProcessIdentity, graceMs = 5000): Promise<void> {
  const workers = childrenOf(master.pid).map(identify)
  const gone = () => !isAlive(master) && workers.every((worker) => worker === null || !isAlive(worker))
  for (const [signal, deadlineMs] of [
    ['SIGQUIT', graceMs],
    ['SIGTERM', 2000],
  ] as const) {
    signalProcess(master, signal)
    if (await waitFor(gone, { deadlineMs, what: 'nginx to end' }).catch(() => false)) return
  }
  for (const each of [master, ...workers]) if (each) signalProcess(each, 'SIGKILL')
  await waitFor(gone, { deadlineMs: 2000, what: 'nginx to be gone' })
}

/**
 * Ends workers whose master was killed: they go on serving the old plan and keep the port. Their title names no
 * directory, so each is found by its answer at the status port, and is ours if it has our log open.
 */
export async function endOrphans(dir: string, deadlineMs = DEADLINE_MS): Promise<void> {
  const applied = readApplied(dir)
  if (!applied || findNginx(dir)) return
  await waitFor(
    async () => {
      const status = await readStatus(applied.statusPort)
      const worker = status && identify(status.workerPid)
      if (!worker || !hasOpen(worker.pid, logPath(dir))) return true
      signalProcess(worker, 'SIGKILL')
      return false
    },
    { deadlineMs, everyMs: 10, what: 'workers of a killed nginx to be gone' },
  )
}

/** The master that runs on this directory's configuration, if one does. */
export function findNginx(dir: string): ProcessIdentity | null {
  const pid = Number(readIfThere(`${dir}/nginx.pid`)?.trim())
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  return commandLine(pid)?.includes(configPath(dir)) ? identify(pid) : null
}

async function reload(topology: Topology, master: ProcessIdentity, deadlineMs: number): Promise<void> {
  const oldWorkers = childrenOf(master.pid)
  signalProcess(master, 'SIGHUP')
  try {
    await waitFor(
      async () => oldWorkers.every(hasStoppedAccepting) && (await serves(topology.statusPort, topology.version)),
      { deadlineMs, everyMs: 10, what: `nginx to serve plan ${label(topology.version)}` },
    )
  } catch (error) {
    throw new ApplyError(
      'not_served',
      `nginx does not serve plan ${label(topology.version)}:\n${lastLines(topology.dir)}`,
      error,
    )
  }
}

/** A worker that was told to end closes its listening sockets first, and says so in its title. */
function hasStoppedAccepting(worker: number): boolean {
  const title = commandLine(worker)
  return title === null || title === '' || title.includes('shutting down')
}

/** nginx opens no port for a test, so the running instance is not disturbed. */
function testConfig(dir: string, path: string, options: ApplyOptions): void {
  const run = spawnSync(program(options), ['-t', '-q', ...nginxArguments(dir, path)], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  if (run.status === 0) return
  const why = run.error?.message ?? `${run.stderr}${run.stdout}`.trim()
  throw new ApplyError('bad_configuration', `nginx refuses the configuration: ${why}`, run.error)
}

function nginxArguments(dir: string, config: string): string[] {
  return ['-p', dir, '-e', `${dir}/error.log`, '-c', config]
}

function program(options: ApplyOptions): string {
  return options.program ?? 'nginx'
}

async function lock(dir: string, deadlineMs: number): Promise<() => void> {
  try {
    const taken = await waitFor(
      () => {
        const attempt = takeLock(`${dir}/apply.lock`)
        return 'release' in attempt && attempt
      },
      { deadlineMs, what: 'the lock of the load balancer' },
    )
    return taken.release
  } catch (error) {
    throw new ApplyError('locked', `another process has been applying a plan in ${dir} for ${deadlineMs} ms`, error)
  }
}

function label({ era, seq }: PlanVersion): string {
  return `${era}.${seq}`
}

function hashOf(topology: Topology): string {
  return createHash('sha256')
    .update(render({ ...topology, version: FIRST_PLAN }))
    .digest('hex')
}

function writeApplied(dir: string, applied: Applied): void {
  writeAtomically(appliedPath(dir), `${JSON.stringify(applied)}\n`)
}

function appliedPath(dir: string): string {
  return `${dir}/applied.json`
}

function logPath(dir: string): string {
  return `${dir}/error.log`
}

function lastLines(dir: string): string {
  return (readIfThere(logPath(dir)) ?? '').trim().split('\n').slice(-10).join('\n')
}
