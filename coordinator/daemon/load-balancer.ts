import type { Topology } from '../plan/topology.ts'

/** What stands between buyers and nodes. */
export interface LoadBalancer {
  /** Makes it so; resolves when it is in force, or false: a newer one is, and this one is refused. */
  apply(topology: Topology): Promise<boolean>
}

/** For a fleet whose load balancer somebody else looks after. */
export const NO_LOAD_BALANCER: LoadBalancer = { apply: async () => true }
