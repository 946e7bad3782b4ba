/**
 * How a sale's quota is shared: weights that an operator gives for this sale alone, or back to the rule that the
 * cluster follows. Nothing is paused: the new levels go out with the next replies.
 */
import { allowanceOf } from '../../stock/core/allowance.ts'
import type { Version } from '../../stock/core/words.ts'
import type { FleetNode, FleetSnapshot, SaleSnapshot, Shares } from '../../stock/port.ts'
import { shareOf } from '../plan/plan.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import { findNode, isSame, notLeader, outdated, WEIGHT_MAX } from './fleet-change.ts'
import { whoHasNotHeard } from './heard.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

export interface Balance {
  /** Weights given for this sale; null: the cluster's rule (`quota.share`). */
  readonly shares: Shares | null
  readonly nodes: readonly {
    readonly id: string
    readonly state: string
    readonly weight: number
    readonly allowances: Readonly<Record<string, number>>
  }[]
}

export interface RebalanceResult {
  readonly saleId: string
  readonly outcome: 'planned' | 'changed' | 'unchanged'
  /** Of the weights, for a later compare-and-set: what is planned holds for this version. */
  readonly version: Version
  readonly before: Balance
  readonly after: Balance
  readonly notHeardBy: readonly string[]
}

export interface RebalanceWish {
  /** Null: back to the rule. */
  readonly shares: Shares | null
  readonly expected: Version | null
}

/** What it would do. */
export async function planRebalance(world: World, saleId: string, wish: RebalanceWish): Promise<RebalanceResult> {
  const { sale, fleet, weights } = await look(world, saleId, wish)
  return {
    saleId,
    outcome: 'planned',
    version: weightsVersion(sale),
    before: balanceOf(world, fleet, sale, {}, sale.shares),
    after: balanceOf(world, fleet, sale, weights, wish.shares),
    notHeardBy: [],
  }
}

/** Does it, if the weights are still those that were looked at. */
export async function rebalance(
  world: World,
  lease: number,
  saleId: string,
  wish: RebalanceWish,
): Promise<RebalanceResult> {
  const { sale, fleet, weights } = await look(world, saleId, wish)
  const rule = { shares: wish.shares, expected: weightsVersion(sale) }
  const reply = await world.port.sales.setWeights(saleId, lease, weights, [], world.rules, rule)
  if (reply.outcome === 'recovering' || reply.outcome === 'fenced') {
    throw new OperationError('recovering', `sale "${saleId}" is recovering: see "farebox status"`, { saleId })
  }
  const now = await readSale(world, saleId)
  if (reply.outcome === 'refused') {
    throw reply.why === 'stale_lease' ? notLeader(reply.version) : outdated(rule.expected, weightsVersion(now))
  }
  const notHeardBy = await whoHasNotHeard(world, saleId, reply.version)
  return {
    saleId,
    outcome: reply.outcome,
    version: weightsVersion(now),
    before: balanceOf(world, fleet, sale, {}, sale.shares),
    after: balanceOf(world, fleet, now, {}, now.shares),
    notHeardBy,
  }
}

async function look(
  world: World,
  saleId: string,
  { shares, expected }: RebalanceWish,
): Promise<{ sale: SaleSnapshot; fleet: FleetSnapshot; weights: Record<string, number> }> {
  const [sale, fleet] = await Promise.all([readSale(world, saleId), world.port.fleet.read()])
  for (const [id, weight] of Object.entries(shares ?? {})) {
    findNode(fleet, id)
    if (Number.isSafeInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX) continue
    throw new OperationError('bad_weight', `${id}=${weight}: a whole number from 1 to ${WEIGHT_MAX} is expected`)
  }
  if (expected !== null && !isSame(expected, weightsVersion(sale))) throw outdated(expected, weightsVersion(sale))
  const weights: Record<string, number> = {}
  for (const member of sale.nodes) {
    const node = fleet.nodes.find(({ id }) => id === member.id)
    const wanted = node === undefined ? null : shareOf(node, { shares }, member.weight)
    if (wanted !== null && wanted !== member.weight) weights[member.id] = wanted
  }
  return { sale, fleet, weights }
}

export function weightsVersion({ version, weightsSeq }: SaleSnapshot): Version {
  return { era: version.era, seq: weightsSeq }
}

function balanceOf(
  world: World,
  fleet: FleetSnapshot,
  sale: SaleSnapshot,
  changes: Readonly<Record<string, number>>,
  shares: Shares | null,
): Balance {
  const nodes = sale.nodes.map((node) => ({ ...node, weight: changes[node.id] ?? node.weight }))
  const liveWeight = nodes.filter(({ live }) => live).reduce((sum, { weight }) => sum + weight, 0)
  const stateOf = (id: string): FleetNode['state'] | 'unknown' =>
    fleet.nodes.find((node) => node.id === id)?.state ?? 'unknown'
  return {
    shares,
    nodes: nodes.map(({ id, weight, live }) => {
      const levels = sale.fares.map(({ fareId, remaining }) => {
        const { limitPerBuyer } = sale.definition
        const input = { remaining, weight, liveWeight, limitPerBuyer, buffer: world.rules.buffer }
        return [fareId, live ? allowanceOf(input) : 0] as const
      })
      return { id, state: stateOf(id), weight, allowances: Object.fromEntries(levels) }
    }),
  }
}
