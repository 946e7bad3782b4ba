import type { Topology } from '../plan/topology.ts'

/** What stands between buyers and nodes. */
export interface LoadBalancer {
  /** Makes it so; resolves when it is in force. A topology older than the one in force is refused, not applied. */
  apply(topology: Topology): Promise<void>
}

/** For a fleet whose load balancer somebody else looks after. */
export const NO_LOAD_BALANCER: LoadBalancer = { apply: async () => {} }
