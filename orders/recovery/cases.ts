/** Sales that do not sell, since when and why, and how those that sell again came to it: for status, events and metrics. */
import type { Log } from '../../runtime/log.ts'
import type { Version } from '../../stock/core/words.ts'
import { show } from './reopen.ts'

/** For whoever asks how it went. */
const RECOVERED_KEPT = 20

/** A sale that does not sell, and why. */
export interface OpenCase {
  readonly saleId: string
  readonly sinceMs: number
  readonly reasons: readonly string[]
}

/** How a sale came to sell again. */
export interface Recovered {
  readonly saleId: string
  /**
   * `whole`: nothing was lost. `union`: put together again. `operator`: the same, by decision. `recount`: nothing was
   * lost, and its counters were wrong.
   */
  readonly how: 'whole' | 'union' | 'operator' | 'recount'
  readonly version: Version
  /** For how long it did not sell, as far as this process saw. */
  readonly forMs: number
  readonly reasserted: number
  readonly fromJournals: number
  readonly conflicts: number
  /** Why acknowledged orders may be missing; empty when none can be. */
  readonly unaccounted: readonly string[]
  /** Tickets held and paid, when the sale was last seen selling and now. */
  readonly fares: readonly { readonly fareId: string; readonly before: number | null; readonly now: number }[]
}

/** A sale that a store was told to open. */
interface Opening {
  readonly era: number
  readonly recovered: Omit<Recovered, 'forMs' | 'version'>
}

export class Cases {
  readonly #monotonicMs: () => number
  readonly #log: Log
  readonly #open = new Map<string, OpenCase>()
  /** By sale: until the store's answer came, or it was seen to be open. */
  readonly #openings = new Map<string, Opening>()
  /** By sale: the reasons for which an operator was last called. */
  readonly #called = new Map<string, string>()
  readonly #recovered: Recovered[] = []
  #count = 0
  #closedMs = 0

  constructor(monotonicMs: () => number, log: Log) {
    this.#monotonicMs = monotonicMs
    this.#log = log
  }

  all(): readonly OpenCase[] {
    return [...this.#open.values()]
  }

  get(saleId: string): OpenCase | null {
    return this.#open.get(saleId) ?? null
  }

  /** The newest last. */
  recovered(): readonly Recovered[] {
    return this.#recovered
  }

  /** Sales that came to sell again, ever. */
  get count(): number {
    return this.#count
  }

  /** Of all sales together, the open cases included. */
  get withoutSaleMs(): number {
    const nowMs = this.#monotonicMs()
    return this.all().reduce((sum, { sinceMs }) => sum + nowMs - sinceMs, this.#closedMs)
  }

  /** Since when the sale has not sold; now, when it sells. By the monotonic clock. */
  sinceMs(saleId: string): number {
    return this.#open.get(saleId)?.sinceMs ?? this.#monotonicMs()
  }

  forMs(saleId: string): number {
    return this.#monotonicMs() - this.sinceMs(saleId)
  }

  /** Opens the case, or has its reasons replaced. */
  note(saleId: string, reasons: readonly string[]): void {
    this.#open.set(saleId, { saleId, sinceMs: this.sinceMs(saleId), reasons })
  }

  /** The case waits for an operator, who is called once for the same reasons. */
  callOperator(saleId: string): void {
    const reasons = this.#open.get(saleId)?.reasons ?? []
    if (this.#called.get(saleId) === reasons.join()) return
    this.#called.set(saleId, reasons.join())
    this.#log.error({ saleId, reasons }, 'the sale stays recovering: an operator must decide')
  }

  close(saleId: string): void {
    this.#closedMs += this.forMs(saleId)
    this.#open.delete(saleId)
    this.#called.delete(saleId)
  }

  /** The store is told to open the sale under that era. Its answer may be lost, or this process end. */
  opens(saleId: string, era: number, recovered: Opening['recovered']): void {
    this.#openings.set(saleId, { era, recovered })
  }

  opened(saleId: string, version: Version): void {
    const opening = this.#openings.get(saleId)
    // A look came first.
    if (opening === undefined) return
    this.#openings.delete(saleId)
    const one = { ...opening.recovered, version, forMs: this.forMs(saleId) }
    this.#count += 1
    this.#recovered.push(one)
    if (this.#recovered.length > RECOVERED_KEPT) this.#recovered.shift()
    this.#log.info({ ...one, version: show(version) }, 'the sale is open again under a new era')
  }

  /**
   * The sale is seen selling: then the store was opened, though its answer was lost or is under way.
   * @param unitedEra Of the last union; the store may have begun yet another era since.
   */
  seen(saleId: string, version: Version, unitedEra: number): void {
    const era = this.#openings.get(saleId)?.era
    if (era === version.era || era === unitedEra) this.opened(saleId, version)
  }
}
