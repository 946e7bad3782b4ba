/**
 * An orders process's place in the fleet: says about once a second where it is, and hears the store's clock and which
 * sales there are.
 */
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { startRounds, type Rounds } from '../runtime/rounds.ts'
import { systemTimers, type Timers } from '../runtime/timers.ts'
import type { FleetStore, OrdersProcess } from '../stock/port.ts'

const ANNOUNCE_EVERY_MS = 1000

export class Presence {
  readonly #fleet: FleetStore
  readonly #self: OrdersProcess
  readonly #clock: Clock
  readonly #log: Log
  readonly #timers: Timers
  #rounds: Rounds | null = null
  #heard: { readonly storeNowMs: number; readonly atMs: number } | null = null

  constructor(fleet: FleetStore, self: OrdersProcess, clock: Clock, log: Log, timers: Timers = systemTimers) {
    this.#fleet = fleet
    this.#self = self
    this.#clock = clock
    this.#log = log
    this.#timers = timers
  }

  start(): void {
    this.#rounds = startRounds('announce', ANNOUNCE_EVERY_MS, () => this.#announce(), this.#log, this.#timers)
  }

  /** The store has heard of this process. */
  get isAnnounced(): boolean {
    return this.#heard !== null
  }

  /** The store's clock as last heard, moved on by ours; null before it was ever heard. */
  storeNowMs(): number | null {
    if (this.#heard === null) return null
    return Math.floor(this.#heard.storeNowMs + this.#clock.monotonicMs() - this.#heard.atMs)
  }

  /** For showing: the store's clock, or this machine's while nobody has heard the store. */
  shownNowMs(): number {
    return this.storeNowMs() ?? this.#clock.nowMs()
  }

  async stop(): Promise<void> {
    await this.#rounds?.stop()
    try {
      await this.#fleet.resignOrders(this.#self.id)
    } catch (error) {
      this.#log.warn({ err: error }, 'the fleet could not be told')
    }
  }

  async #announce(): Promise<void> {
    const { nowMs } = await this.#fleet.announceOrders(this.#self)
    // Counted from the answer, so that the clock reckoned from it is never ahead of the store's.
    this.#heard = { storeNowMs: nowMs, atMs: this.#clock.monotonicMs() }
  }
}
