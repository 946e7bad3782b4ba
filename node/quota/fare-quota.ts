/**
 * One fare on one node: how many tickets this node may have in flight, and what it last heard of the counter.
 *
 * The allowance is a level that each newer reply replaces; `inFlight` is every deduction without an answer. So
 * nothing is cumulative: a lost reply, a repeat or a late answer cannot make the quota drift.
 */
import { assertStock } from '../../runtime/assert.ts'
import { compareVersions, type FareLevel, type Version, VERSION_ZERO } from '../../stock/core/words.ts'

export class FareQuota {
  readonly fareId: string
  /** Newest level heard; null before the first. */
  level: FareLevel | null = null
  /** Of {@link level}. */
  version: Version = VERSION_ZERO
  /** When the request was sent whose reply last named this fare; own monotonic clock. */
  heardSentMs = Number.NEGATIVE_INFINITY
  inFlight = 0
  /** Tickets that buyers got through this node since it started. */
  confirmed = 0

  constructor(fareId: string) {
    this.fareId = fareId
  }

  /** Takes in a level; an older one than the newest known is dropped. */
  hear(level: FareLevel, version: Version, sentMs: number): void {
    if (this.level !== null && compareVersions(version, this.version) < 0) return
    this.level = level
    this.version = version
    if (sentMs > this.heardSentMs) this.heardSentMs = sentMs
  }

  /** A new era voids every level of the old one. */
  forget(): void {
    this.level = null
    this.version = VERSION_ZERO
    this.heardSentMs = Number.NEGATIVE_INFINITY
  }

  /** The version of the last change of the counters that was heard of. */
  get changedAt(): Version {
    return { era: this.version.era, seq: this.level?.changedSeq ?? 0 }
  }

  get available(): number {
    return (this.level?.allowance ?? 0) - this.inFlight
  }

  /** Check and take in one step. */
  deduct(quantity: number): boolean {
    if (quantity > this.available) return false
    this.inFlight += quantity
    return true
  }

  restore(quantity: number): void {
    this.inFlight -= quantity
    assertStock(this.inFlight >= 0, `fare ${this.fareId}: more deductions restored than were made`)
  }
}
