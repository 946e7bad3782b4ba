/**
 * DIR/cluster.json: which processes make up the cluster, where they listen, and which exactly they are.
 *
 * Several processes change it (the supervisor, `node add`, `down`), so every change goes through a lock; readers see
 * the old or the new file. A pid stands beside its start time and is only ever signalled with it.
 */
import { join } from 'node:path'
import { readIfThere, takeLock, writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { isAlive } from '../../runtime/process-identity.ts'
import type { ProcessIdentity } from '../../runtime/process-identity.ts'
import { waitFor } from '../../loadbalancer/wait.ts'

export interface NodeRecord {
  readonly id: string
  readonly url: string
  readonly adminUrl: string
  readonly weight: number
  /** Null before its first start. The process may have died since. */
  readonly process: ProcessIdentity | null
  /** Ended on purpose, by a rolling restart that starts it again: nobody else is to. */
  readonly isEnded?: boolean
}

export interface CoordinatorRecord {
  readonly id: string
  readonly adminUrl: string
  /** Its certificate, with an `https://` address: whoever reads this file need trust no other. */
  readonly certFile?: string
  readonly process: ProcessIdentity | null
}

export interface OrdersRecord {
  readonly id: string
  readonly url: string
  readonly adminUrl: string
  readonly process: ProcessIdentity | null
}

export interface RedisRecord {
  readonly url: string
  /** Null for a Redis that is not ours. */
  readonly config: string | null
  readonly process: ProcessIdentity | null
}

export interface NginxRecord {
  readonly config: string
  /** Directory of the load balancer, as its topology names it. */
  readonly dir: string
  readonly host: string
  readonly port: number
  readonly statusPort: number
  readonly process: ProcessIdentity | null
}

export interface ClusterFile {
  readonly dir: string
  readonly url: string
  readonly nodes: readonly NodeRecord[]
  readonly redis: RedisRecord
  readonly orders: readonly OrdersRecord[]
  readonly coordinators: readonly CoordinatorRecord[]
  readonly nginx: NginxRecord
  readonly supervisor: ProcessIdentity | null
}

/** The document of `up --json` (design, section 6). A pid is null where a process is not ours or never ran. */
export interface ClusterView {
  readonly dir: string
  readonly url: string
  readonly adminUrl: string
  readonly nodes: readonly { id: string; url: string; adminUrl: string; pid: number | null; weight: number }[]
  readonly redis: { readonly url: string; readonly pid: number | null; readonly config: string | null }
  readonly orders: readonly { id: string; url: string; adminUrl: string; pid: number | null }[]
  readonly coordinators: readonly { id: string; adminUrl: string; pid: number | null }[]
  readonly nginx: { readonly pid: number | null; readonly config: string }
}

export function clusterView(file: ClusterFile): ClusterView {
  return {
    dir: file.dir,
    url: file.url,
    adminUrl: file.coordinators[0]?.adminUrl ?? '',
    nodes: file.nodes.map((node) => ({
      id: node.id,
      url: node.url,
      adminUrl: node.adminUrl,
      pid: pid(node),
      weight: node.weight,
    })),
    redis: { url: file.redis.url, pid: pid(file.redis), config: file.redis.config },
    orders: file.orders.map((one) => ({ id: one.id, url: one.url, adminUrl: one.adminUrl, pid: pid(one) })),
    coordinators: file.coordinators.map((one) => ({ id: one.id, adminUrl: one.adminUrl, pid: pid(one) })),
    nginx: { pid: pid(file.nginx), config: file.nginx.config },
  }
}

function pid({ process }: { readonly process: ProcessIdentity | null }): number | null {
  return process?.pid ?? null
}

/** A PEM text, or null when there is none: then the system's authorities are asked. */
export function certificateOf({ certFile }: { readonly certFile?: string }): string | null {
  return certFile === undefined ? null : readIfThere(certFile)
}

export interface NamedProcess {
  /** As its log is named: `n1`, `o1`, `c1`, `redis`, `nginx`. */
  readonly name: string
  readonly process: ProcessIdentity | null
}

/** Every process of the cluster, in the order in which they are stopped: buyers first find the door closed. */
export function processesOf(file: ClusterFile): NamedProcess[] {
  return [
    { name: 'nginx', process: file.nginx.process },
    ...file.coordinators.map(({ id, process }) => ({ name: id, process })),
    ...file.nodes.map(({ id, process }) => ({ name: id, process })),
    ...file.orders.map(({ id, process }) => ({ name: id, process })),
    { name: 'redis', process: file.redis.process },
  ]
}

export function aliveProcesses(file: ClusterFile): NamedProcess[] {
  return processesOf(file).filter(({ process }) => process !== null && isAlive(process))
}

/** The same file with one process replaced. */
export function withProcess(file: ClusterFile, name: string, process: ProcessIdentity | null): ClusterFile {
  if (name === 'nginx') return { ...file, nginx: { ...file.nginx, process } }
  if (name === 'redis') return { ...file, redis: { ...file.redis, process } }
  const replaced = <T extends { readonly id: string }>(one: T): T => (one.id === name ? { ...one, process } : one)
  const started = (one: NodeRecord): NodeRecord => (one.id === name ? { ...one, process, isEnded: false } : one)
  return {
    ...file,
    nodes: file.nodes.map(started),
    orders: file.orders.map(replaced),
    coordinators: file.coordinators.map(replaced),
  }
}

export function clusterFilePath(dir: string): string {
  return join(dir, 'cluster.json')
}

export function readCluster(dir: string): ClusterFile | null {
  const text = readIfThere(clusterFilePath(dir))
  if (text === null) return null
  const file = JSON.parse(text) as Omit<ClusterFile, 'orders'> & Partial<Pick<ClusterFile, 'orders'>>
  // A directory from before there were orders processes has none.
  return { ...file, orders: file.orders ?? [] }
}

export function writeCluster(file: ClusterFile): void {
  writeAtomically(clusterFilePath(file.dir), `${JSON.stringify(file, null, 2)}\n`)
}

/** Reads, changes and writes under the lock. Not for long work: others wait at most 5 s. */
export async function changeCluster(dir: string, change: (file: ClusterFile) => ClusterFile): Promise<ClusterFile> {
  const { release } = await waitFor(
    () => {
      const attempt = takeLock(join(dir, 'cluster.lock'))
      return 'release' in attempt && attempt
    },
    { deadlineMs: 5000, everyMs: 10, what: `the lock of ${clusterFilePath(dir)}` },
  )
  try {
    const file = readCluster(dir)
    if (!file) throw new Error(`${clusterFilePath(dir)} is gone`)
    const changed = change(file)
    writeCluster(changed)
    return changed
  } finally {
    release()
  }
}
