/** Sees openings come, or is told of them, so that the node rehearses once right before each. */
import type { Clock } from '../runtime/clock.ts'
import type { SaleDesk } from './sale-desk.ts'

/** Long enough for a rehearsal to end before the doors open, short enough that its effect lasts. */
const LEAD_MS = 1000

type Opening = Pick<SaleDesk, 'quota'>

export class OpeningWatch {
  readonly #desks: ReadonlyMap<string, Opening>
  readonly #clock: Clock
  readonly #rehearse: (saleIds: readonly string[]) => Promise<void>
  /** Per sale the opening that was rehearsed last: an opening may be put off. */
  readonly #rehearsed = new Map<string, number>()
  #underWay: Promise<void> | null = null

  constructor(
    desks: ReadonlyMap<string, Opening>,
    clock: Clock,
    rehearse: (saleIds: readonly string[]) => Promise<void>,
  ) {
    this.#desks = desks
    this.#clock = clock
    this.#rehearse = rehearse
  }

  /** Called often. One rehearsal at a time serves all that open together. */
  look(): void {
    if (this.#underWay !== null) return
    const openings = [...this.#desks].flatMap(([saleId, { quota }]) => {
      const { opensAtMs, state } = quota
      if (opensAtMs === null || state !== 'scheduled' || this.#rehearsed.get(saleId) === opensAtMs) return []
      const inMs = opensAtMs - quota.clock.atLeast(this.#clock.monotonicMs())
      return inMs > 0 && inMs <= LEAD_MS ? [{ saleId, opensAtMs }] : []
    })
    if (openings.length === 0) return
    for (const { saleId, opensAtMs } of openings) this.#rehearsed.set(saleId, opensAtMs)
    void this.now(() => this.#rehearse(openings.map(({ saleId }) => saleId)))
  }

  /** Rehearses so, unless a rehearsal is under way; resolves when it has ended. */
  now(rehearse: () => Promise<void>): Promise<void> {
    this.#underWay ??= rehearse().finally(() => (this.#underWay = null))
    return this.#underWay
  }
}
