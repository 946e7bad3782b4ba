/** The cluster's load balancer: the topology that its file describes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EDGE_DEFAULTS } from '../../loadbalancer/render.ts'
import type { PlanVersion, Topology } from '../../loadbalancer/render.ts'
import type { ClusterFile } from './cluster-file.ts'

/** Who takes traffic, as the coordinator's plan or the cluster file says. */
export interface EdgePlan {
  readonly version: PlanVersion
  readonly servers: readonly { readonly id: string; readonly url: string; readonly weight: number }[]
  readonly orders: readonly { readonly id: string; readonly url: string }[]
}

/** Used by `up` for the first plan, and by the coordinator for every later one. */
export function edgeTopology(file: Pick<ClusterFile, 'nginx'>, plan: EdgePlan, root: string): Topology {
  const webDir = join(root, 'web')
  const { dir, host, port, statusPort } = file.nginx
  return {
    version: plan.version,
    dir,
    // Workers of a root-owned instance must reach files that only root may read.
    user: process.getuid?.() === 0 ? 'root' : null,
    listen: { host, port },
    statusPort,
    nodes: plan.servers.map(({ id, url, weight }) => ({ id, ...placeOf(url), weight: Math.max(1, weight) })),
    orders: plan.orders.map(({ id, url }) => ({ id, ...placeOf(url) })),
    webDir: existsSync(webDir) ? webDir : null,
    live: true,
    limits: EDGE_DEFAULTS,
  }
}

function placeOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}
