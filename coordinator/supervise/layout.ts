/** What a start is to bring up: ids, weights and ports, from what was asked and what the directory remembers. */
import { join } from 'node:path'
import { configPath } from '../../loadbalancer/render.ts'
import type { OperatorConfig } from './cluster-config.ts'
import type { ClusterFile, CoordinatorRecord, NodeRecord, OrdersRecord } from './cluster-file.ts'
import { ClusterFailure } from './failure.ts'
import { choosePorts, isFree } from '../../runtime/free-ports.ts'
import { redisConfigPath } from './redis.ts'

export interface LayoutRequest {
  readonly dir: string
  /** Null: as stored, else {@link DEFAULT_NODES}. */
  readonly nodes: number | null
  readonly weights: readonly number[] | null
  /** Null: as stored, else {@link DEFAULT_PORT}; 0: a free one. */
  readonly port: number | null
  readonly redisUrl: string | null
  /** How many orders processes. */
  readonly ordersProcesses: number
  readonly admin: OperatorConfig['admin']
}

export const DEFAULT_NODES = 4
export const DEFAULT_PORT = 8080
const HOST = '0.0.0.0'
const EVERYWHERE: readonly string[] = ['0.0.0.0', '::']

export async function planLayout(request: LayoutRequest, previous: ClusterFile | null): Promise<ClusterFile> {
  const { dir, redisUrl, ordersProcesses, admin } = request
  const members = membersOf(request, previous)
  const port = await edgePort(request.port, previous)
  const before = new Map(previous?.nodes.map((node) => [node.id, node]))
  const ordersIds = Array.from({ length: ordersProcesses }, (_, index) => `o${index + 1}`)
  const ordersBefore = new Map(previous?.orders.map((one) => [one.id, one]))
  const [statusPort = 0, redisPort = 0, adminPort = 0, edge = 0, ...ports] = await choosePorts([
    previous?.nginx.statusPort ?? null,
    previous?.redis.config ? portOf(previous.redis.url) : null,
    portOf(previous?.coordinators[0]?.adminUrl),
    port === 0 ? null : port,
    ...members.flatMap(({ id }) => [portOf(before.get(id)?.url), portOf(before.get(id)?.adminUrl)]),
    ...ordersIds.flatMap((id) => [portOf(ordersBefore.get(id)?.url), portOf(ordersBefore.get(id)?.adminUrl)]),
  ])
  const portsOf = (place: number) => ports.slice(2 * place, 2 * place + 2)
  const nodes = members.map(({ id, weight }, index): NodeRecord => {
    const [own = 0, admin = 0] = portsOf(index)
    return { id, url: local(own), adminUrl: local(admin), weight, process: null }
  })
  const orders = ordersIds.map((id, index): OrdersRecord => {
    const [own = 0, admin = 0] = portsOf(members.length + index)
    return { id, url: local(own), adminUrl: local(admin), process: null }
  })
  const coordinator: CoordinatorRecord = { id: 'c1', ...adminAddress(admin, adminPort), process: null }
  const edgeDir = join(dir, 'nginx')
  return {
    dir,
    url: local(edge),
    nodes,
    redis: {
      url: redisUrl ?? `redis://127.0.0.1:${redisPort}`,
      config: redisUrl === null ? redisConfigPath(dir) : null,
      process: null,
    },
    orders,
    coordinators: [coordinator],
    nginx: { config: configPath(edgeDir), dir: edgeDir, host: HOST, port: edge, statusPort, process: null },
    supervisor: null,
  }
}

interface Member {
  readonly id: string
  readonly weight: number
}

function membersOf({ nodes, weights }: LayoutRequest, previous: ClusterFile | null): Member[] {
  const stored = previous?.nodes ?? []
  if (nodes === null && weights === null && stored.length > 0) return stored.map(({ id, weight }) => ({ id, weight }))
  const count = nodes ?? weights?.length ?? DEFAULT_NODES
  if (weights !== null && weights.length !== count) {
    throw new ClusterFailure('bad_config', `${weights.length} weights for ${count} nodes: give one for each`)
  }
  return Array.from({ length: count }, (_, index) => ({
    id: `n${index + 1}`,
    weight: weights?.[index] ?? stored.find(({ id }) => id === `n${index + 1}`)?.weight ?? 1,
  }))
}

/** A port that was asked for must be free; a stored one is taken again where it is. */
async function edgePort(wanted: number | null, previous: ClusterFile | null): Promise<number> {
  if (wanted === 0) return 0
  const port = wanted ?? previous?.nginx.port ?? DEFAULT_PORT
  if (await isFree(port, HOST)) return port
  if (wanted === null && previous !== null) return 0
  throw new ClusterFailure('port_taken', `port ${port} is taken: give another with --port, or --port 0 for a free one`)
}

function portOf(url: string | undefined): number | null {
  return url === undefined ? null : Number(new URL(url).port)
}

/** As it is reached from this machine. */
function adminAddress(
  { host, certFile }: LayoutRequest['admin'],
  port: number,
): Pick<CoordinatorRecord, 'adminUrl' | 'certFile'> {
  if (certFile === null) return { adminUrl: local(port) }
  const reached = EVERYWHERE.includes(host) ? '127.0.0.1' : host
  return { adminUrl: `https://${reached.includes(':') ? `[${reached}]` : reached}:${port}`, certFile }
}

function local(port: number): string {
  return `http://127.0.0.1:${port}`
}
