/**
 * What the load balancer should know: the live nodes and their weights, and the orders processes, stamped with the
 * fleet's version.
 *
 * The version is that of the fleet record it was read from. A leader that lost its lease without noticing can only
 * have read an older record, so whoever applies topologies refuses one that is not newer than the last.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { ObservedNode } from './liveness.ts'

export interface TopologyServer {
  readonly id: string
  readonly url: string
  /** At least 1. */
  readonly weight: number
}

export interface TopologyOrders {
  readonly id: string
  readonly url: string
}

export interface Topology {
  readonly version: Version
  /** By id. Empty when no node is live. */
  readonly servers: readonly TopologyServer[]
  /** By id: who announced itself. The load balancer itself finds out which of them answer. */
  readonly orders: readonly TopologyOrders[]
}

/** A live node's weight is at least 1: it can sell, so it gets buyers. */
export function trafficWeight(node: Pick<ObservedNode, 'state' | 'weight'>): number {
  return node.state === 'live' ? Math.max(1, node.weight) : 0
}

export function topologyOf(
  version: Version,
  nodes: readonly ObservedNode[],
  orders: readonly TopologyOrders[],
): Topology {
  const servers = nodes
    .filter((node) => node.state === 'live')
    .map((node) => ({ id: node.id, url: node.url, weight: trafficWeight(node) }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const processes = orders.map(({ id, url }) => ({ id, url })).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  return { version, servers, orders: processes }
}

/** True when `wanted` says something else than `applied`, and is newer. */
export function isNews(wanted: Topology, applied: Topology | null): boolean {
  if (applied === null) return true
  return compareVersions(wanted.version, applied.version) > 0 && !isSameTopology(wanted, applied)
}

/** Whether both say the same, of whatever version. */
export function isSameTopology(a: Topology, b: Topology): boolean {
  return sameServers(a.servers, b.servers) && sameOrders(a.orders, b.orders)
}

function sameOrders(a: readonly TopologyOrders[], b: readonly TopologyOrders[]): boolean {
  return a.length === b.length && a.every(({ id, url }, index) => b[index]?.id === id && b[index].url === url)
}

/** Whether both send the same shares of buyers to the same nodes. */
export function sameServers(a: readonly TopologyServer[], b: readonly TopologyServer[]): boolean {
  return (
    a.length === b.length &&
    a.every((server, index) => {
      const other = b[index]
      return other?.id === server.id && other.url === server.url && other.weight === server.weight
    })
  )
}
