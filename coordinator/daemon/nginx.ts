/** The nginx of a cluster directory as the daemon's load balancer. */
import { applyPlan, readApplied, type Applied } from '../../loadbalancer/apply.ts'
import type { Topology } from '../plan/topology.ts'
import { readCluster } from '../supervise/cluster-file.ts'
import { edgeTopology } from '../supervise/edge.ts'
import type { LoadBalancer } from './load-balancer.ts'
import type { Log } from '../../runtime/log.ts'

/** Looks at the cluster file each time: `up` may have moved nginx to another port since. */
export function nginxOf(dir: string, root: string, log: Log): LoadBalancer {
  return {
    async apply(topology: Topology) {
      const cluster = readCluster(dir)
      if (cluster === null) return NO_CLUSTER
      const result = await applyPlan(edgeTopology(cluster, topology, root))
      if (result.outcome === 'stale') {
        log.warn({ version: result.version, newest: result.newest }, 'nginx has a newer plan than this one')
        return null
      }
      return markOf(result)
    },
    async inForce() {
      const cluster = readCluster(dir)
      if (cluster === null) return NO_CLUSTER
      const applied = readApplied(cluster.nginx.dir)
      return applied === null ? null : markOf(applied)
    },
  }
}

/** Where the cluster is another machine's, so is its nginx. */
const NO_CLUSTER = 'none'

function markOf({ version, hash }: Pick<Applied, 'version' | 'hash'>): string {
  return `${version.era}.${version.seq} ${hash}`
}
