import type { Topology } from '../plan/topology.ts'

/** What stands between buyers and nodes. */
export interface LoadBalancer {
  /**
   * Makes it so; resolves when it is in force, with its mark. Null: a newer one is, or another one of this version, and
   * this one is refused.
   */
  apply(topology: Topology): Promise<string | null>
  /** The mark of the plan in force, whoever brought it; null for none. No two plans have the same. */
  inForce(): Promise<string | null>
}

/** For a fleet whose load balancer somebody else looks after. */
export const NO_LOAD_BALANCER: LoadBalancer = { apply: async () => 'none', inForce: async () => 'none' }
