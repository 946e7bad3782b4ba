/** The cluster's load balancer: the topology that its file describes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EDGE_DEFAULTS } from '../../loadbalancer/render.ts'
import type { PlanVersion, Topology } from '../../loadbalancer/render.ts'
import type { ClusterFile } from './cluster-file.ts'

/** What nodes take traffic, as the coordinator's plan or the cluster file says. */
export interface EdgeServer {
  readonly id: string
  readonly url: string
  readonly weight: number
}

/** Used by `up` for the first plan, and by the coordinator for every later one. */
export function edgeTopology(
  file: Pick<ClusterFile, 'nginx'>,
  version: PlanVersion,
  servers: readonly EdgeServer[],
  root: string,
): Topology {
  const webDir = join(root, 'web')
  const { dir, host, port, statusPort } = file.nginx
  return {
    version,
    dir,
    // Workers of a root-owned instance must reach files that only root may read.
    user: process.getuid?.() === 0 ? 'root' : null,
    listen: { host, port },
    statusPort,
    nodes: servers.map(({ id, url, weight }) => {
      const { hostname, port: nodePort } = new URL(url)
      return { id, host: hostname, port: Number(nodePort), weight: Math.max(1, weight) }
    }),
    webDir: existsSync(webDir) ? webDir : null,
    live: false,
    limits: EDGE_DEFAULTS,
  }
}
