/**
 * An operator's acts on nodes: out of the traffic, back into it, another weight. Each changes the fleet's record by
 * compare-and-set on its version, under the leader's lease; what follows (nginx, shares) is the coordinator's plan.
 */
import type { Version } from '../../stock/core/words.ts'
import type { FleetNode, FleetSnapshot, NodeState } from '../../stock/port.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { nearName } from './near-name.ts'
import type { World } from './world.ts'

export const WEIGHT_MAX = 1000

export type NodeWish =
  | { readonly to: 'drain'; readonly evenTheLast: boolean }
  | { readonly to: 'resume' }
  | { readonly to: 'weigh'; readonly weight: number }

export interface NodeFacts {
  readonly id: string
  readonly epoch: number
  readonly state: NodeState
  readonly weight: number
}

export interface NodeChangeResult {
  readonly outcome: 'changed' | 'unchanged'
  /** The fleet's record after it: nginx follows, see `appliedVersion` of `nodes --json`. */
  readonly version: Version
  readonly before: NodeFacts
  readonly after: NodeFacts
}

const TRIES = 5

/**
 * @param lease The leader's; a stale one is refused.
 * @param expected The version that the operator has seen; null for whatever is there now.
 * @throws OperationError `outdated` with the present version, `not_leader`, `no_such_node`, and what the rules refuse.
 */
export async function changeNode(
  world: World,
  lease: number,
  nodeId: string,
  wish: NodeWish,
  expected: Version | null,
): Promise<NodeChangeResult> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const fleet = await world.port.fleet.read()
    if (expected !== null && !isSame(expected, fleet.version)) throw outdated(expected, fleet.version)
    const before = findNode(fleet, nodeId)
    const change = changeFor(world, fleet, before, wish)
    if (change === null) {
      return { outcome: 'unchanged', version: fleet.version, before: factsOf(before), after: factsOf(before) }
    }
    const reply = await world.port.fleet.setNodes(
      lease,
      [{ id: nodeId, expectedEpoch: before.epoch, ...change }],
      fleet.version,
    )
    if (reply.outcome === 'recovering' || reply.outcome === 'fenced') throw recoveringFleet()
    if (reply.outcome === 'refused') throw notLeader(reply.version)
    if (reply.outcome === 'changed') {
      const after = factsOf({ ...before, ...change })
      return { outcome: 'changed', version: reply.version, before: factsOf(before), after }
    }
    // Something else changed between reading and writing: judge anew.
  }
  throw new OperationError('busy', 'the fleet keeps changing: look at "farebox nodes" and try again')
}

export function findNode(fleet: FleetSnapshot, nodeId: string): FleetNode {
  const node = fleet.nodes.find(({ id }) => id === nodeId)
  if (node !== undefined) return node
  const ids = fleet.nodes.map(({ id }) => id)
  const hint = nearName(nodeId, ids)
  const message = `no node has the id "${nodeId}"${hint === null ? ': see "farebox nodes"' : `; did you mean ${hint}?`}`
  throw new OperationError('no_such_node', message, { nodeId, nodes: ids })
}

type Change = { readonly state?: NodeState; readonly weight?: number }

/** Null: it is so already. */
function changeFor(world: World, fleet: FleetSnapshot, node: FleetNode, wish: NodeWish): Change | null {
  switch (wish.to) {
    case 'weigh':
      return node.weight === wish.weight ? null : { weight: wish.weight }
    case 'drain': {
      if (node.state === 'draining' || node.state === 'drained') return null
      if (node.state === 'dead') throw notRunning(node, 'a dead node has no traffic to be taken out of')
      const others = fleet.nodes.filter(({ id, state }) => id !== node.id && state === 'live')
      if (others.length === 0 && !wish.evenTheLast) {
        const message = `${node.id} is the last live node: without it nobody sells. --force drains it all the same`
        throw new OperationError('last_live_node', message, { nodeId: node.id })
      }
      return { state: 'draining' }
    }
    case 'resume': {
      const isHeard = fleet.nowMs - node.lastSeenMs <= world.rules.deadAfterMs
      if (node.state === 'dead' || !isHeard) throw notRunning(node, `start it with "farebox node start ${node.id}"`)
      return node.state === 'live' ? null : { state: 'live' }
    }
    default:
      return wish satisfies never
  }
}

function notRunning({ id, state }: FleetNode, what: string): OperationError {
  return new OperationError('not_running', `node ${id} does not run (${state}): ${what}`, { nodeId: id, state })
}

export function outdated(expected: Version, present: Version): OperationError {
  const message = `the version is ${textOf(present)} by now, not ${textOf(expected)}: look again, then decide`
  return new OperationError('outdated', message, { expected, version: present })
}

export function notLeader(version: Version): OperationError {
  const message = `this coordinator leads no more (the version is ${textOf(version)}): try again`
  return new OperationError('not_leader', message, { version, adminUrl: null })
}

export function recoveringFleet(): OperationError {
  return new OperationError('recovering', 'the fleet is recovering: see "farebox status"')
}

export function textOf({ era, seq }: Version): string {
  return `${era}.${seq}`
}

export function isSame(a: Version, b: Version): boolean {
  return a.era === b.era && a.seq === b.seq
}

function factsOf({ id, epoch, state, weight }: FleetNode): NodeFacts {
  return { id, epoch, state, weight }
}
