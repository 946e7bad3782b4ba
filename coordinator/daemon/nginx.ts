/** The nginx of a cluster directory as the daemon's load balancer. */
import { applyPlan } from '../../loadbalancer/apply.ts'
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
      if (cluster === null) return true
      const result = await applyPlan(edgeTopology(cluster, topology, root))
      if (result.outcome === 'stale') {
        log.warn({ version: result.version, newest: result.newest }, 'nginx has a newer plan than this one')
      }
      return result.outcome !== 'stale'
    },
  }
}
