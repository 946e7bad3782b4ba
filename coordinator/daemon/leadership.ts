/**
 * Whether this coordinator leads. The lease is granted by the store's clock; this side counts it from before it
 * asked, by its own monotonic clock, so it stops believing no later than the store does.
 *
 * The fencing number goes with every write, so even a leader that is stopped between asking {@link lease} and
 * writing is refused by the store.
 */
import type { FleetStore } from '../../stock/port.ts'

export const LEASE_TTL_MS = 1500

export type Role = 'leading' | 'following' | 'recovering'

export class Leadership {
  readonly #fleet: FleetStore
  readonly #self: { readonly id: string; readonly adminUrl: string }
  readonly #monotonicMs: () => number
  #held: { readonly lease: number; readonly untilMs: number } | null = null

  constructor(fleet: FleetStore, self: { readonly id: string; readonly adminUrl: string }, monotonicMs: () => number) {
    this.#fleet = fleet
    this.#self = self
    this.#monotonicMs = monotonicMs
  }

  /** Takes or renews the lease. A failed call leaves the lease to lapse by itself. */
  async renew(): Promise<Role> {
    const askedAtMs = this.#monotonicMs()
    const reply = await this.#fleet.lead(this.#self, LEASE_TTL_MS)
    if (reply.outcome === 'leading') {
      this.#held = { lease: reply.lease, untilMs: askedAtMs + LEASE_TTL_MS }
      return 'leading'
    }
    this.#held = null
    return reply.outcome === 'following' ? 'following' : 'recovering'
  }

  /** The fencing number while this coordinator leads, else null. Ask before every single act. */
  lease(): number | null {
    return this.#held !== null && this.#monotonicMs() < this.#held.untilMs ? this.#held.lease : null
  }

  drop(): void {
    this.#held = null
  }

  async resign(): Promise<void> {
    if (this.lease() === null) return
    this.#held = null
    await this.#fleet.resign(this.#self.id)
  }
}
