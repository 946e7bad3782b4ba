/** One node: its place in the fleet and a desk per sale, driven by two timers. */
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import { systemTimers } from '../runtime/timers.ts'
import type { FleetSnapshot, StockPort } from '../stock/port.ts'
import { FleetMember, type FleetNews, type Self } from './fleet-member.ts'
import type { DeskMetrics } from './node-metrics.ts'
import { type DeskSettings, SaleDesk } from './sale-desk.ts'

export interface SellingNodeOptions {
  readonly port: StockPort
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: DeskMetrics
  readonly desk: DeskSettings
  readonly heartbeatMs: number
}

/** How often deadlines are looked at. */
const TICK_MS = 20

export class SellingNode {
  /** Null until it starts. */
  member: FleetMember | null = null
  readonly desks = new Map<string, SaleDesk>()
  readonly #options: SellingNodeOptions
  readonly #endTimers: (() => void)[] = []
  #weight = 0
  /** False once the requests have stopped coming: then the node takes no share either. */
  #isSharing = true
  #isReadingSales = false
  /** Every sale that the fleet named has a desk that is in it, or knows that it is recovering. */
  #isReady = false

  constructor(options: SellingNodeOptions) {
    this.#options = options
  }

  get isReady(): boolean {
    return this.#isReady && this.member?.isJoined === true
  }

  /** Whether a sale that has no desk here is no sale: the fleet was heard, and each sale that it named has a desk. */
  knowsSales = false

  /** Called when the operator wants this node out of the traffic. */
  onDrain: () => Promise<void> = async () => {}
  #isDraining = false

  /** `self` is known once the ports are open. */
  start(self: Self): void {
    this.member = new FleetMember(this.#options.port.fleet, this.#options.logger, self)
    this.#weight = self.weight
    const timers = this.#options.desk.timers ?? systemTimers
    this.#endTimers.push(
      timers.every(this.#options.heartbeatMs, () => void this.#beat()),
      timers.every(TICK_MS, () => {
        for (const desk of this.desks.values()) desk.tick()
      }),
    )
    void this.#beat()
  }

  /** Whether everything taken in has been answered. */
  get isIdle(): boolean {
    return [...this.desks.values()].every((desk) => desk.isIdle)
  }

  /** Null when the store does not answer. */
  async readFleet(): Promise<FleetSnapshot | null> {
    return this.#options.port.fleet.read().catch(() => null)
  }

  /** Takes the weight out of the shares, in every sale at once. */
  stopSharing(): void {
    this.#isSharing = false
    this.#setWeight(0)
    for (const desk of this.desks.values()) void desk.heartbeat()
  }

  stop(): void {
    for (const end of this.#endTimers) end()
    for (const desk of this.desks.values()) desk.stop()
  }

  async #beat(): Promise<void> {
    for (const desk of this.desks.values()) void desk.heartbeat()
    const news = await this.member?.heartbeat()
    if (news === null || news === undefined) return
    this.#hearState(news)
    await this.#openDesks(news.saleIds)
    this.knowsSales = news.saleIds.every((saleId) => this.desks.has(saleId))
    this.#isReady = [...this.desks.values()].every((desk) => desk.state !== 'joining')
  }

  /** A node that drains keeps its share until nothing arrives any more. */
  #hearState({ state, weight }: FleetNews): void {
    if (state === 'live') this.#isSharing = true
    if (state === 'drained' || state === 'dead') this.#isSharing = false
    this.#setWeight(this.#isSharing ? weight : 0)
    if (state !== 'draining' || this.#isDraining) return
    this.#isDraining = true
    void this.onDrain().finally(() => (this.#isDraining = false))
  }

  #setWeight(weight: number): void {
    this.#weight = weight
    for (const desk of this.desks.values()) desk.setWeight(weight)
  }

  async #openDesks(saleIds: readonly string[]): Promise<void> {
    if (this.#isReadingSales) return
    this.#isReadingSales = true
    try {
      for (const saleId of saleIds) if (!this.desks.has(saleId)) await this.#openDesk(saleId)
    } catch (error) {
      this.#options.logger.warn({ err: error }, 'a sale could not be read')
    } finally {
      this.#isReadingSales = false
    }
  }

  async #openDesk(saleId: string): Promise<void> {
    const { port, clock, logger, metrics, desk: settings } = this.#options
    const sentMs = clock.monotonicMs()
    const snapshot = await port.sales.read(saleId, settings.rules)
    if (snapshot === null) return
    const desk = new SaleDesk(snapshot.definition, this.#weight, port, settings, clock, logger, metrics)
    desk.quota.hearSnapshot(snapshot, sentMs, clock.monotonicMs())
    this.desks.set(saleId, desk)
    desk.start()
  }
}
