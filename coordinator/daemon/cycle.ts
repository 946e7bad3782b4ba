/**
 * One look at the world and what follows from it, about five times a second. Everybody asks for the lease; only
 * the one who has it observes and acts, and stops between two acts as soon as it has it no more.
 *
 * Nothing here is needed for correctness (the store decides scarcity), so any error ends this round and the next
 * one starts from what is then observed.
 */
import { compareVersions, type QuotaRules } from '../../stock/core/words.ts'
import type { FleetSnapshot, SaleSnapshot, StockPort } from '../../stock/port.ts'
import { DEAF, hear, uninterruptedMs, type Attention } from '../plan/attention.ts'
import { demandWeights, observeDemand, type Demand } from '../plan/demand.ts'
import { fleetNews } from '../plan/fleet-news.ts'
import { plan, type Action } from '../plan/plan.ts'
import { isSameTopology, type Topology, topologyOf } from '../plan/topology.ts'
import type { Leadership, Role } from './leadership.ts'
import type { LoadBalancer } from './load-balancer.ts'
import type { Log } from '../../runtime/log.ts'
import type { EraBook } from './eras.ts'

export interface CycleParts {
  readonly port: StockPort
  readonly rules: QuotaRules
  readonly leadership: Leadership
  readonly loadBalancer: LoadBalancer
  /** Of the fleet's record; sales have theirs from the ledger. */
  readonly eras: EraBook
  readonly log: Log
  readonly monotonicMs: () => number
  /** Whether quota follows the fleet's weights or the demand seen at each node. Default: weight. */
  readonly share?: 'weight' | 'demand'
}

/**
 * After another leader's plan was met, so long ours is not held against it: while two lead, each with a store of its own,
 * they must not take nginx from each other in every round.
 */
const PEACE_MS = 5000

/** Demand moves shares at most this often: each change makes every node hear every fare anew. */
const DEMAND_EVERY_MS = 1000

export class Cycle {
  readonly #parts: CycleParts
  #attention: Attention = DEAF
  /** What this leader has applied, and the load balancer's mark of it; forgotten with the lease. */
  #applied: { readonly topology: Topology; readonly mark: string } | null = null
  #metAnotherPlanAtMs = Number.NEGATIVE_INFINITY
  /** The era in which each sale heard of this lease: nobody's older one moves anything there any more. */
  readonly #heardOfLease = new Map<string, number>()
  /** What each sale was, as last read, to tell what is new. */
  readonly #saleStates = new Map<string, string>()
  readonly #demands = new Map<string, { demand: Demand; movedAtMs: number }>()
  #role: Role | 'unknown' = 'unknown'
  #lease: number | null = null
  readonly #underWay = new Map<string, Promise<void>>()
  /** The fleet as last read, to tell what is new. */
  #lastFleet: FleetSnapshot | null = null

  constructor(parts: CycleParts) {
    this.#parts = parts
  }

  role(): Role | 'unknown' {
    return this.#role
  }

  async tick(): Promise<void> {
    try {
      await this.#lead()
      if (this.#role === 'leading') await this.#observeAndAct()
      else this.#forget()
    } catch (error) {
      this.#attention = DEAF
      throw error
    }
  }

  async #lead(): Promise<void> {
    const { leadership, port, log } = this.#parts
    let role = await leadership.renew()
    if (role === 'recovering') {
      const { version } = await port.fleet.read()
      await this.#certifyFleet(version.era)
      role = await leadership.renew()
    }
    if (role !== this.#role) log.info({ role, before: this.#role }, 'role')
    this.#role = role
    // Between two leases another may have led, also where no round saw it.
    const lease = leadership.lease()
    if (lease !== this.#lease) this.#forget()
    this.#lease = lease
  }

  #forget(): void {
    this.#attention = DEAF
    this.#applied = null
    this.#heardOfLease.clear()
    this.#demands.clear()
  }

  async #observeAndAct(): Promise<void> {
    const { rules } = this.#parts
    const fleet = await this.#readFleet()
    if (!fleet.certified || this.#isBehindPlan(fleet)) {
      await this.#certifyFleet(fleet.version.era)
      return
    }
    await this.#lookAtPlanInForce()
    const sales = await this.#readSales(fleet)
    const actions = plan(
      {
        nowMs: fleet.nowMs,
        fleetVersion: fleet.version,
        nodes: fleet.nodes,
        orders: fleet.orders,
        sales: sales.map((sale) => ({ ...sale, saleId: sale.definition.id, ...this.#demandOf(sale) })),
        applied: this.#applied?.topology ?? null,
        noted: fleet.applied,
      },
      { deadAfterMs: rules.deadAfterMs, uninterruptedMs: uninterruptedMs(this.#attention) },
    )
    for (const action of actions) if (!(await this.#perform(action))) return
  }

  /**
   * An older copy took the record's place, in the same life: plans made from it would be refused as older for ever.
   * It may have gone on since, up to the very version of the plan, which then says something else: every change takes
   * a seq, so two records of one version that differ are two histories. Under a new era everybody joins anew, and
   * plans are newer again.
   */
  #isBehindPlan({ version, nodes, orders }: FleetSnapshot): boolean {
    if (this.#applied === null) return false
    const applied = this.#applied.topology
    const order = compareVersions(version, applied.version)
    if (order > 0 || (order === 0 && isSameTopology(topologyOf(version, nodes, orders), applied))) return false
    this.#parts.log.warn({ version, applied: applied.version }, 'the fleet record is older than the plan in force')
    this.#applied = null
    return true
  }

  /**
   * The plan applied here need not be the one in force. Why its version does not say so:
   *
   *   1. A reads the fleet at version 9, begins to apply, and sleeps
   *   2. the store is replaced by one that is at 5; B leads there, and applies 7
   *   3. A wakes: 9 is newer than 7, so its plan comes into force, of a fleet that is no more
   *
   * What B applies then is refused as older, and so B begins a new era, in which everything is newer.
   */
  async #lookAtPlanInForce(): Promise<void> {
    const { loadBalancer, log, monotonicMs } = this.#parts
    const known = this.#applied
    if (known === null || monotonicMs() - this.#metAnotherPlanAtMs < PEACE_MS) return
    const mark = await loadBalancer.inForce()
    if (mark === known.mark || this.#applied !== known) return
    this.#metAnotherPlanAtMs = monotonicMs()
    this.#applied = null
    log.warn({ version: known.topology.version, inForce: mark }, 'another plan than the one applied here is in force')
  }

  async #readFleet(): Promise<FleetSnapshot> {
    const fleet = await this.#parts.port.fleet.read()
    const answer = { heardAtMs: this.#parts.monotonicMs(), storeNowMs: fleet.nowMs }
    this.#attention = hear(this.#attention, answer, this.#parts.rules.deadAfterMs)
    for (const { nodeId, text } of fleetNews(this.#lastFleet?.nodes ?? [], fleet.nodes)) {
      this.#parts.log.info({ node: nodeId }, text)
    }
    if (fleet.nodes.length > 0) this.#lastFleet = fleet
    return fleet
  }

  /** Those that sell; the plan leaves a sale that recovers alone. */
  async #readSales(fleet: FleetSnapshot): Promise<SaleSnapshot[]> {
    const snapshots = await Promise.all(fleet.saleIds.map((saleId) => this.#readSale(saleId)))
    return snapshots.filter((snapshot) => snapshot !== null)
  }

  /**
   * A sale refuses a lease lower than the highest that it has heard of in its era, so it hears of this one before it is
   * judged: what the leader before had sent, or wakes to send, cannot come after that.
   */
  async #readSale(saleId: string): Promise<SaleSnapshot | null> {
    const { port, rules, leadership } = this.#parts
    const sale = await port.sales.read(saleId, rules)
    if (sale !== null) this.#tellState(saleId, sale)
    if (sale === null || !sale.certified || this.#heardOfLease.get(saleId) === sale.version.era) return certified(sale)
    const lease = leadership.lease()
    if (lease === null) return null
    const reply = await port.sales.setWeights(saleId, lease, {}, [], rules)
    if (reply.outcome !== 'unchanged') return null
    this.#heardOfLease.set(saleId, reply.version.era)
    return certified(await port.sales.read(saleId, rules))
  }

  #tellState(saleId: string, { state, nowMs }: SaleSnapshot): void {
    const before = this.#saleStates.get(saleId)
    this.#saleStates.set(saleId, state)
    if (before === undefined || before === state) return
    this.#parts.log.info({ saleId, nowMs }, `sale ${saleId} was ${before}, is ${state}`)
  }

  /** The fleet's record only tunes, so it is always certified anew. */
  async #certifyFleet(expectedEra: number): Promise<void> {
    const { eras, port, log } = this.#parts
    const era = await eras.allot(expectedEra)
    const { outcome } = await port.fleet.certify(expectedEra, era)
    log.info({ era, outcome }, 'the fleet record was certified anew')
  }

  /** Null: no change is asked for. Nothing at all where quota follows the fleet's weights. */
  #demandOf(sale: SaleSnapshot): { readonly demand?: Readonly<Record<string, number>> | null } {
    if (this.#parts.share !== 'demand') return {}
    const live = sale.nodes.filter((node) => node.live && node.weight > 0)
    const { id } = sale.definition
    const known = this.#demands.get(id)
    const demand = observeDemand(known?.demand ?? null, sale.nowMs, sale.nodes)
    const movedAtMs = known?.movedAtMs ?? Number.NEGATIVE_INFINITY
    const wanted = sale.nowMs - movedAtMs < DEMAND_EVERY_MS ? null : demandWeights(demand, live)
    this.#demands.set(id, { demand, movedAtMs: wanted === null ? movedAtMs : sale.nowMs })
    return { demand: wanted }
  }

  /** False when this coordinator may not act any more; the rest of the round is dropped. */
  async #perform(action: Action): Promise<boolean> {
    const { port, loadBalancer, leadership, rules, log } = this.#parts
    const lease = leadership.lease()
    if (lease === null) return false
    switch (action.kind) {
      case 'declare_dead': {
        const changes = action.nodes.map(({ id, epoch }) => ({ id, expectedEpoch: epoch, state: 'dead' as const }))
        const { outcome } = await port.fleet.setNodes(lease, changes)
        log.warn({ nodes: action.nodes, outcome }, 'nodes declared dead')
        return outcome === 'changed'
      }
      case 'set_weights': {
        const { saleId, weights, fence } = action
        const reply = await port.sales.setWeights(saleId, lease, weights, fence, rules)
        log.info({ saleId, weights, fence, outcome: reply.outcome }, 'weights set')
        return reply.outcome !== 'refused'
      }
      case 'apply_topology':
        this.#background('apply the topology', async () => {
          // Until it is known to be in force under this very lease, nobody knows what is.
          this.#applied = null
          const mark = await loadBalancer.apply(action.topology)
          if (leadership.lease() !== lease) return
          if (mark === null) {
            // Whoever leads read this record just now, so the plan in force is of one that had come further.
            log.warn({ version: action.topology.version }, 'the fleet record is older than the plan in force')
            await this.#certifyFleet(action.topology.version.era)
            return
          }
          this.#applied = { topology: action.topology, mark }
          log.info({ topology: action.topology }, 'topology applied')
          await port.fleet.noteApplied(lease, action.topology.version)
        })
        return true
      case 'note_applied': {
        const { outcome } = await port.fleet.noteApplied(lease, action.version)
        return outcome === 'noted'
      }
      default:
        return action satisfies never
    }
  }

  /**
   * What may take longer than the lease (a reload of nginx, a node that does not answer) goes on beside the rounds,
   * each thing once at a time. After a failure the next round plans it again.
   */
  #background(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name)) return
    const done = work()
      .catch((error: unknown) => this.#parts.log.error({ err: error }, `could not ${name}`))
      .finally(() => this.#underWay.delete(name))
    this.#underWay.set(name, done)
  }

  /** Resolves when nothing goes on beside the rounds. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }
}

function certified(sale: SaleSnapshot | null): SaleSnapshot | null {
  return sale?.certified === true ? sale : null
}
