/**
 * The coordinator's judgement: from what it observed to what must happen, as data.
 *
 * The plan follows from the observed state alone, so whoever leads next finishes what a leader that died had begun:
 * a node that the fleet calls dead but whose place in a sale is still open is fenced there now. Nothing to do gives
 * no action, so a plan carried out in full is followed by an empty one.
 *
 * Why a sale's own `lastSeen` is asked before fencing there (n1 paused, then awake):
 *
 *   1. the fleet record calls n1 dead, epoch 4
 *   2. n1 wakes, finds itself fenced, joins the sale anew: epoch 5 there, heard of just now
 *   3. n1 joins the fleet anew: live, epoch 5
 *
 * A leader that reads the fleet before 3 and the sale after 2 must leave epoch 5 alone: it is not silent.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import { isSilent, mayJudge, newlyDead, type Judge, type ObservedNode } from './liveness.ts'
import { isNews, sameServers, topologyOf, trafficWeight, type Topology, type TopologyOrders } from './topology.ts'

export interface ObservedSaleNode {
  readonly id: string
  readonly epoch: number
  readonly weight: number
  readonly lastSeenMs: number
}

export interface ObservedSale {
  readonly saleId: string
  /** The store's clock when this sale was read. */
  readonly nowMs: number
  /** False while the sale is `recovering`: then it is left alone. */
  readonly certified: boolean
  readonly nodes: readonly ObservedSaleNode[]
  /** An operator's weights for this sale, in place of the fleet's. */
  readonly shares?: Readonly<Record<string, number>> | null
  /** What observed demand asks for (`quota.share: demand`), unless an operator has said otherwise. */
  readonly demand?: Readonly<Record<string, number>> | null
}

export interface Observed {
  /** The store's clock when the fleet was read. */
  readonly nowMs: number
  readonly fleetVersion: Version
  readonly nodes: readonly ObservedNode[]
  readonly orders: readonly TopologyOrders[]
  readonly sales: readonly ObservedSale[]
  /** The topology that the load balancer has now; null when nobody knows. */
  readonly applied: Topology | null
  /** The version up to which the fleet's record says that the load balancer does what it says. */
  readonly noted?: Version
}

export type Action =
  /** Fleet: state dead, epoch raised; all of them or none. */
  | { readonly kind: 'declare_dead'; readonly nodes: readonly { readonly id: string; readonly epoch: number }[] }
  /** One sale: new weights and the epochs to fence, all or nothing. */
  | {
      readonly kind: 'set_weights'
      readonly saleId: string
      readonly weights: Readonly<Record<string, number>>
      readonly fence: readonly { readonly id: string; readonly epoch: number }[]
    }
  | { readonly kind: 'apply_topology'; readonly topology: Topology }
  /** The load balancer does what the record of this version says: nodes that leave wait for it. */
  | { readonly kind: 'note_applied'; readonly version: Version }

/** What must happen now, in this order. */
export function plan(observed: Observed, judge: Judge): Action[] {
  const dead = newlyDead(observed.nodes, observed.nowMs, judge)
  const deadIds = new Set(dead.map((node) => node.id))
  const nodes = observed.nodes.map((node) => (deadIds.has(node.id) ? { ...node, state: 'dead' as const } : node))

  const actions: Action[] = []
  if (dead.length > 0) actions.push({ kind: 'declare_dead', nodes: dead.map(({ id, epoch }) => ({ id, epoch })) })
  for (const sale of observed.sales) {
    const action = planSale(sale, nodes, judge)
    if (action !== null) actions.push(action)
  }
  // A death changes the fleet's version; the topology without the dead follows with the next observation, so that
  // it carries the version of the record that says so.
  const topology = topologyOf(observed.fleetVersion, nodes, observed.orders)
  if (dead.length > 0) return actions
  const { applied, fleetVersion, noted } = observed
  if (isNews(topology, applied)) actions.push({ kind: 'apply_topology', topology })
  else if (isNotNoted(fleetVersion, noted) && applied !== null && sameServers(topology.servers, applied.servers)) {
    actions.push({ kind: 'note_applied', version: fleetVersion })
  }
  return actions
}

function isNotNoted(version: Version, noted: Version | undefined): boolean {
  return noted !== undefined && compareVersions(version, noted) > 0
}

/**
 * What a member of a sale should weigh, or null for leaving it as it is: a node that drains serves on with its share
 * and takes it out by itself when nothing arrives any more.
 */
export function shareOf(
  node: ObservedNode,
  sale: Pick<ObservedSale, 'shares' | 'demand'>,
  present: number,
): number | null {
  if (node.state === 'draining') return null
  if (node.state !== 'live') return 0
  const told = sale.shares?.[node.id]
  if (told !== undefined) return told
  if (sale.shares === null || sale.shares === undefined) {
    const demanded = sale.demand?.[node.id]
    if (demanded !== undefined) return demanded
    // Sharing by demand, and nothing asks for a change now.
    if (sale.demand === null && present > 0) return null
  }
  return trafficWeight(node)
}

function planSale(sale: ObservedSale, nodes: readonly ObservedNode[], judge: Judge): Action | null {
  if (!sale.certified) return null
  const weights: Record<string, number> = {}
  const fence: { id: string; epoch: number }[] = []
  for (const member of sale.nodes) {
    const node = nodes.find(({ id }) => id === member.id)
    if (node === undefined || node.state === 'dead') {
      // Weight 0 is also the sign that it was fenced here: a node that joins anew brings its weight.
      if (member.weight === 0 || !mayJudge(judge) || !isSilent(member.lastSeenMs, sale.nowMs, judge.deadAfterMs))
        continue
      weights[member.id] = 0
      fence.push({ id: member.id, epoch: member.epoch })
    } else {
      const wanted = shareOf(node, sale, member.weight)
      if (wanted !== null && member.weight !== wanted) weights[member.id] = wanted
    }
  }
  return Object.keys(weights).length === 0 ? null : { kind: 'set_weights', saleId: sale.saleId, weights, fence }
}
