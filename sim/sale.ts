/** One simulated sale: from a seed to what was found. */
import { createLogger } from '../runtime/logger.ts'
import { violationsOf } from './checkers/all.ts'
import type { Ack, Evidence, Fate, Violation } from './checkers/evidence.ts'
import { lostOrders } from './checkers/promises.ts'
import type { FaultKind } from './faults.ts'
import { WALL_START_MS } from './host.ts'
import type { LedgerServer } from './ledger-server.ts'
import { SALE_ID } from './scenario.ts'
import { World } from './world.ts'

export interface SimulatedSale {
  readonly seed: number
  readonly ack: Ack
  readonly hash: string
  readonly violations: readonly Violation[]
  /** Faults that took effect. */
  readonly effects: readonly FaultKind[]
  /** Acknowledged orders that a fault took which `ack` does not survive. */
  readonly lostAcknowledged: number
  readonly orders: number
  readonly nodes: number
  readonly requests: number
  /** How often an operator had to decide. */
  readonly forced: number
  readonly events: number
  /** Virtual time. */
  readonly ms: number
  readonly trace: readonly string[]
}

/** One for all runs: it writes nothing. */
const LOGGER = createLogger({ level: 'silent' })

/** Must be called from a task of the event loop, see `kernel.ts`; {@link simulate} is. */
export function simulateNow(seed: number, isTraced = false): SimulatedSale {
  const world = new World(seed, LOGGER, isTraced)
  world.run()
  const evidence = evidenceOf(world)
  return {
    seed,
    ack: evidence.ack,
    hash: world.kernel.hash,
    violations: violationsOf(evidence),
    effects: world.effects,
    lostAcknowledged: lostOrders(evidence).filter(({ kind }) => kind !== null).length,
    orders: evidence.orders.size,
    nodes: world.nodes.length,
    requests: evidence.history.reduce((sum, { attempts }) => sum + attempts.length, 0),
    forced: world.forced,
    events: world.kernel.count,
    ms: world.kernel.nowMs,
    trace: world.kernel.trace ?? [],
  }
}

export function simulate(seed: number, isTraced = false): Promise<SimulatedSale> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(simulateNow(seed, isTraced))
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })
}

export function evidenceOf(world: World): Evidence {
  const { scenario, witness, cluster, database, orders: processes } = world
  const { definition } = scenario
  const record = cluster.primary.stock.saleRecords.get(SALE_ID)
  return {
    ack: scenario.ack,
    history: world.buyers.history,
    limitPerBuyer: definition.limitPerBuyer,
    holdMs: definition.holdMs,
    buyDeadlineMs: scenario.buyDeadlineMs,
    opensAtMs: definition.opensAtMs,
    stock: Object.fromEntries(definition.fares.map(({ id, stock }) => [id, stock])),
    stockChanges: world.stockChanges,
    transfers: world.transfers,
    orders: record?.orders ?? new Map(),
    fares: [...(record?.fares ?? [])].map(([fareId, fare]) => ({ fareId, ...fare })),
    buyers: new Map([...(record?.buyers ?? [])].map(([buyer, { tickets }]) => [buyer, tickets])),
    fates: fatesOf(database),
    conflicts: new Set(processes.flatMap(({ unsettleable }) => [...unsettleable])),
    unlike: world.unlikeOrders(),
    unlikeStocks: world.unlikeStocks(),
    notFound: world.notFound,
    lost: cluster.lost,
    losses: cluster.losses,
    splits: cluster.splits,
    creations: witness.creations,
    settled: witness.settled,
    reasserted: witness.reasserted,
    openedMs: witness.openedMs,
    spans: witness.spans,
    doors: witness.doors,
    lawFault: witness.lawFault,
    leaseFault: witness.leaseFault,
    fenceFault: witness.fenceFault,
    disturbedMs: new Map(world.nodes.map(({ host }) => [host.id, Math.max(host.crashedAtMs, host.pausedAtMs)])),
    leftOut: world.leftOut(),
    forcedWithMark: world.forcedWithMark,
    untoldDecisions: world.untoldDecisions,
    lateRows: [...world.lateRows],
    pausedMsMax: Math.max(...world.targets().map(({ host }) => host.pausedMs)),
    crashes: world.crashes,
    unanswered: world.edge.unanswered,
    hasSteppedClocks: world.hasSteppedClocks,
    toldMs: Math.max(...processes.map(({ toldMs }) => toldMs)),
    hasConverged: world.hasConverged,
    endMs: world.kernel.nowMs,
  }
}

function fatesOf({ ledger }: LedgerServer): Map<string, Fate> {
  const fates = new Map<string, Fate>()
  for (const { id: orderId, state, reason, paidAtMs, releasedAtMs } of ledger.rows(SALE_ID)) {
    if (state === 'held') continue
    const atMs = (state === 'paid' ? paidAtMs : releasedAtMs) ?? WALL_START_MS
    fates.set(orderId, {
      orderId,
      state,
      reason,
      atMs: atMs - WALL_START_MS,
      overdue: ledger.lapses.get(orderId) ?? null,
    })
  }
  return fates
}
