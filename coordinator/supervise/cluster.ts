/**
 * A cluster on one machine: Redis, orders, nodes, a coordinator and nginx, started together, ended together.
 *
 * Every process goes into the cluster file as soon as it runs, so that whoever finds the directory after a crash
 * (`down`, or the next `up`) knows what to end. A pid is only signalled together with its start time.
 */
import { join } from 'node:path'
import { takeLock } from '../../loadbalancer/atomic-file.ts'
import { applyPlan, endOrphans, findNginx, readApplied, startNginx, stopNginx } from '../../loadbalancer/apply.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { identify, isAlive } from '../../runtime/process-identity.ts'
import type { ProcessIdentity } from '../../runtime/process-identity.ts'
import { NODE_HEAP_FLAGS } from '../../node/heap.ts'
import { FIRST_PLAN } from '../../loadbalancer/render.ts'
import { readOperatorConfig, writeClusterConfig } from './cluster-config.ts'
import { aliveProcesses, changeCluster, processesOf, readCluster, withProcess, writeCluster } from './cluster-file.ts'
import type { ClusterFile, CoordinatorRecord, NodeRecord, OrdersRecord } from './cluster-file.ts'
import { edgeTopology } from './edge.ts'
import { ClusterFailure, interrupted } from './failure.ts'
import { planLayout } from './layout.ts'
import type { LayoutRequest } from './layout.ts'
import { choosePorts } from '../../runtime/free-ports.ts'
import { startProcess, stopProcess, waitReady } from './processes.ts'
import { findRedis, startRedis, waitForRedis } from './redis.ts'
import { createAndOpen, waitForSale } from './sale.ts'
import type { SaleText } from './sale.ts'

export interface ClusterOptions extends Omit<LayoutRequest, 'redisUrl' | 'ordersProcesses' | 'admin'> {
  /** Where `bin/farebox` and `web/` are. */
  readonly root: string
  readonly configFile: string | null
  readonly sale: SaleText | null
  readonly environment: NodeJS.ProcessEnv
  readonly readyDeadlineMs: number
  readonly note: (line: string) => void
  /** Aborted by Ctrl-C: a start under way is given up. */
  readonly signal?: AbortSignal
}

const STOP_GRACE_MS = 10_000

/** What the start or the supervision of a cluster holds: nobody else may start one in the directory. */
export interface RunningCluster {
  readonly file: ClusterFile
  readonly stop: () => Promise<void>
}

/**
 * Starts or resumes the cluster and returns when it is ready.
 * @throws ClusterFailure, having stopped everything that it started.
 */
export async function startCluster(options: ClusterOptions): Promise<RunningCluster> {
  const { dir } = options
  const operator = readOperatorConfig(options.configFile, options.environment)
  const lock = takeLock(join(dir, 'up.lock'))
  if (!('release' in lock)) throw alreadyRunning(dir, `"up" with pid ${lock.heldBy.pid}`)
  try {
    const previous = readCluster(dir)
    if (previous) await refuseIfRunning(previous)
    if (previous) await endOrphans(previous.nginx.dir)
    const layout = await planLayout({ ...options, ...operator }, previous)
    writeClusterConfig(dir, operator, layout.redis.url)
    writeCluster({ ...layout, supervisor: identify(process.pid) })
    await bringUp(options, layout)
  } catch (error) {
    lock.release()
    throw error
  }
  const stop = async (): Promise<void> => {
    await stopProcesses(dir)
    lock.release()
  }
  return { file: readCluster(dir) ?? fail(dir), stop }
}

async function bringUp(options: ClusterOptions, layout: ClusterFile): Promise<void> {
  const { dir, note, readyDeadlineMs, sale } = options
  const goOn = (): void => {
    if (options.signal?.aborted) throw interrupted()
  }
  try {
    if (layout.redis.config !== null) {
      note('starting redis')
      await startByName(options.root, dir, 'redis')
    }
    goOn()
    await applyFirstPlan(options.root, layout)
    note(`starting ${layout.nodes.length} nodes, orders and a coordinator`)
    const started: (() => Promise<void>)[] = []
    // One after the other: should one fail, none is still on its way into the cluster file when the rest is stopped.
    for (const member of [...layout.orders, ...layout.nodes, ...layout.coordinators]) {
      const process = await launch(options.root, dir, member.id)
      started.push(() => waitReady(dir, member.id, process, member, readyDeadlineMs, options.signal))
    }
    goOn()
    await Promise.all(started.map((wait) => wait()))
    goOn()
    note('starting nginx')
    await startByName(options.root, dir, 'nginx')
    goOn()
    const [coordinator] = layout.coordinators
    const shown = sale && coordinator && (await createAndOpen(dir, coordinator, sale)).shown
    await waitForSale(layout.url, shown ? sale.id : null, readyDeadlineMs, options.signal)
    goOn()
  } catch (error) {
    await stopProcesses(dir)
    throw error
  }
}

/** Starts one process of the cluster file again, on its stored ports, and waits until it is ready. */
export async function startByName(
  root: string,
  dir: string,
  name: string,
  { deadlineMs = 20_000, signal }: { readonly deadlineMs?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<ProcessIdentity> {
  const process = await launch(root, dir, name)
  const file = readCluster(dir) ?? fail(dir)
  if (name === 'redis') await waitForRedis(dir, Number(new URL(file.redis.url).port), process, deadlineMs)
  const member = memberOf(file, name)
  if (member) await waitReady(dir, name, process, member, deadlineMs, signal)
  return process
}

/**
 * Starts one process and writes it down, before it is ready. One at a time for each name: the supervisor, `roll` and
 * `node start` may all find it dead, and the file has room for one. Who comes second is given what the first started.
 */
async function launch(root: string, dir: string, name: string): Promise<ProcessIdentity> {
  const release = await startLock(dir, name)
  try {
    const file = readCluster(dir) ?? fail(dir)
    const known = processesOf(file).find((one) => one.name === name)?.process ?? null
    if (known !== null && isAlive(known)) return known
    const process = await spawnByName(root, file, name)
    try {
      await changeCluster(dir, (now) => withProcess(now, name, process))
    } catch (error) {
      // Nobody would ever find it again.
      await stopProcess(process, STOP_GRACE_MS)
      throw error
    }
    return process
  } finally {
    release()
  }
}

/** Longer than any process takes to be there; it may then still take its time to be ready. */
const LAUNCH_DEADLINE_MS = 20_000

async function startLock(dir: string, name: string): Promise<() => void> {
  const { release } = await waitFor(
    () => {
      const attempt = takeLock(join(dir, `start-${name}.lock`))
      return 'release' in attempt && attempt
    },
    { deadlineMs: LAUNCH_DEADLINE_MS, everyMs: 10, what: `whoever else is starting ${name}` },
  )
  return release
}

async function spawnByName(root: string, file: ClusterFile, name: string): Promise<ProcessIdentity> {
  const { dir } = file
  if (name === 'redis') return startRedis(dir, Number(new URL(file.redis.url).port))
  if (name === 'nginx') return asNginx(() => startNginx(file.nginx.dir))
  const node = file.nodes.find(({ id }) => id === name)
  const orders = file.orders.find(({ id }) => id === name)
  const coordinator = file.coordinators.find(({ id }) => id === name)
  const args =
    (node && nodeArguments(dir, node)) ??
    (orders && ordersArguments(dir, orders)) ??
    (coordinator && coordinatorArguments(dir, coordinator))
  if (!args) throw new ClusterFailure('no_such_node', `there is no process "${name}" in ${dir}`)
  const flags = node ? NODE_HEAP_FLAGS : []
  const program = process.execPath
  return startProcess(dir, { name, program, args: [...flags, join(root, 'bin', 'farebox'), ...args] })
}

/**
 * The plan that nginx starts with. Before the coordinator starts, whose plans say more: after that nobody else
 * plans, and nginx is started, also again, on whatever was applied last.
 */
async function applyFirstPlan(root: string, file: ClusterFile): Promise<void> {
  const version = readApplied(file.nginx.dir)?.version ?? FIRST_PLAN
  await asNginx(() => applyPlan(edgeTopology(file, { version, servers: file.nodes, orders: file.orders }, root)))
}

async function asNginx<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (/ENOENT/.test(`${why} ${String(error instanceof Error ? error.cause : '')}`)) {
      throw new ClusterFailure('missing_program', 'nginx is not installed', { program: 'nginx' }, error)
    }
    throw new ClusterFailure('process_failed', why, { process: 'nginx' }, error)
  }
}

function nodeArguments(dir: string, { id, weight, url, adminUrl }: NodeRecord): string[] {
  const port = new URL(url).port
  const adminPort = new URL(adminUrl).port
  return ['run', 'node', '--dir', dir, '--id', id, '--weight', `${weight}`, '--port', port, '--admin-port', adminPort]
}

function ordersArguments(dir: string, { id, url, adminUrl }: OrdersRecord): string[] {
  const port = new URL(url).port
  const adminPort = new URL(adminUrl).port
  return ['run', 'orders', '--dir', dir, '--id', id, '--port', port, '--admin-port', adminPort]
}

function coordinatorArguments(dir: string, { id, adminUrl }: CoordinatorRecord): string[] {
  return ['run', 'coordinator', '--dir', dir, '--id', id, '--admin-port', new URL(adminUrl).port]
}

/** Adds a node with the next free id, starts it and waits until it is ready. The coordinator brings it into nginx. */
export async function addNode(root: string, dir: string, weight: number): Promise<NodeRecord> {
  if (readCluster(dir) === null) fail(dir)
  const [port = 0, adminPort = 0] = await choosePorts([null, null])
  const file = await changeCluster(dir, (now) => {
    const highest = Math.max(0, ...now.nodes.map(({ id }) => Number(id.slice(1))).filter(Number.isSafeInteger))
    const url = `http://127.0.0.1:${port}`
    const adminUrl = `http://127.0.0.1:${adminPort}`
    const node: NodeRecord = { id: `n${highest + 1}`, url, adminUrl, weight, process: null }
    return { ...now, nodes: [...now.nodes, node] }
  })
  return startNode(root, dir, file.nodes.at(-1)?.id ?? '')
}

/** Starts a node that died or was drained. One that runs is left alone. */
export async function startNode(root: string, dir: string, id: string): Promise<NodeRecord> {
  const find = (): NodeRecord => {
    const node = (readCluster(dir) ?? fail(dir)).nodes.find((one) => one.id === id)
    if (!node) throw new ClusterFailure('no_such_node', `there is no node "${id}" in ${dir}`)
    return node
  }
  const { process } = find()
  if (!process || !isAlive(process)) await startByName(root, dir, id)
  return find()
}

/** Ends a node's process and says so, so that whoever watches the cluster leaves it to the caller to start it again. */
export async function endNode(dir: string, id: string): Promise<void> {
  const ended = (node: NodeRecord): NodeRecord => (node.id === id ? { ...node, isEnded: true } : node)
  const file = await changeCluster(dir, (now) => ({ ...now, nodes: now.nodes.map(ended) }))
  await stopProcess(file.nodes.find((node) => node.id === id)?.process ?? null, STOP_GRACE_MS)
}

/** Which processes run. Redis and nginx count also when an operator started them by hand. */
export async function clusterStatus(
  dir: string,
): Promise<{ readonly name: string; readonly pid: number | null; readonly alive: boolean }[]> {
  const file = await withFound(readCluster(dir) ?? fail(dir))
  return processesOf(file)
    .filter(({ name }) => name !== 'redis' || file.redis.config !== null)
    .map(({ name, process }) => ({ name, pid: process?.pid ?? null, alive: process !== null && isAlive(process) }))
}

/** Stops what runs, the supervisor first, which then stops the rest. */
export async function stopCluster(dir: string): Promise<{ readonly stopped: readonly string[] }> {
  const file = readCluster(dir)
  if (!file) return { stopped: [] }
  const running = aliveProcesses(await withFound(file)).map(({ name }) => name)
  // A supervisor that restarts what dies must go before the rest does.
  if (file.supervisor?.pid !== process.pid) await stopProcess(file.supervisor, 3 * STOP_GRACE_MS)
  await stopProcesses(dir)
  return { stopped: running }
}

/**
 * nginx first, so that no new buyer comes; Redis last, so that everybody can say goodbye to it. nginx ends when its
 * connections have ended, and live ones end when their nodes do, so it is not waited for before those are told.
 */
async function stopProcesses(dir: string): Promise<void> {
  const known = readCluster(dir)
  if (!known) return
  const file = await withFound(known)
  const { process: nginx } = file.nginx
  await Promise.all([
    nginx !== null && isAlive(nginx) ? stopNginx(nginx) : null,
    ...file.nodes.map((node) => stopProcess(node.process, STOP_GRACE_MS)),
  ])
  await endOrphans(file.nginx.dir)
  await Promise.all(file.coordinators.map((one) => stopProcess(one.process, STOP_GRACE_MS)))
  // After the nodes, so that what they sold last is in the ledger when all is still.
  await Promise.all(file.orders.map((one) => stopProcess(one.process, STOP_GRACE_MS)))
  await stopProcess(file.redis.process, STOP_GRACE_MS)
}

async function refuseIfRunning(file: ClusterFile): Promise<void> {
  const running = aliveProcesses(await withFound(file)).map(({ name, process }) => `${name} (pid ${process?.pid})`)
  if (running.length > 0) throw alreadyRunning(file.dir, running.join(', '))
}

function alreadyRunning(dir: string, what: string): ClusterFailure {
  return new ClusterFailure(
    'already_running',
    `a cluster runs in ${dir}: ${what}. Stop it with: bin/farebox down --dir ${dir}`,
  )
}

/** Redis and nginx may have been started again by hand: then they have other pids than the file knows. */
async function withFound(file: ClusterFile): Promise<ClusterFile> {
  let found = file
  if (!file.nginx.process || !isAlive(file.nginx.process)) {
    found = withProcess(found, 'nginx', findNginx(file.nginx.dir) ?? file.nginx.process)
  }
  if (file.redis.config !== null && (!file.redis.process || !isAlive(file.redis.process))) {
    found = withProcess(found, 'redis', (await findRedis(file.dir, file.redis.url)) ?? file.redis.process)
  }
  return found
}

/** Processes of the file that died. Redis and nginx that somebody started by hand are alive. */
export async function diedProcesses(dir: string): Promise<string[]> {
  const ended = new Set((readCluster(dir)?.nodes ?? []).filter(({ isEnded }) => isEnded).map(({ id }) => id))
  const died = (await clusterStatus(dir)).filter(({ alive, pid, name }) => pid !== null && !alive && !ended.has(name))
  return died.map(({ name }) => name)
}

function memberOf(
  file: ClusterFile,
  name: string,
): { readonly adminUrl: string; readonly certFile?: string } | undefined {
  return [...file.nodes, ...file.orders, ...file.coordinators].find(({ id }) => id === name)
}

function fail(dir: string): never {
  throw new ClusterFailure('no_cluster', `there is no cluster in ${dir}`, { dir })
}
