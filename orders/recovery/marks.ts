/**
 * Watermarks: for each sale the highest (era, seq) that anybody is known to have seen in the store, kept in the ledger,
 * so that a store which comes back with less is recognised.
 *
 * A mark also says whether, as far as was seen, the store kept every acknowledged write (`durable`): only then is "not
 * behind the mark" evidence that nothing was lost between the last mark and the store's death.
 *
 * Noting is free and happens with every look at a sale; the ledger hears of it about once a second, of what the
 * pipeline takes with each batch, and of how far the store was when it said that it knows fates. Other processes raise the same watermark: it never sinks.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { Ledger, LedgerSale, Watermark } from '../ledger/ledger.ts'

export interface Mark {
  readonly era: number
  readonly seq: number
  /** AOF with fsync always was on when this was seen. */
  readonly durable: boolean
  readonly fingerprint: string
}

export type Seen = Pick<Mark, 'durable' | 'fingerprint'>

export class Marks {
  readonly #ledger: Pick<Ledger, 'raiseWatermark'>
  readonly #marks = new Map<string, Mark>()
  readonly #unwritten = new Set<string>()
  #writing: Promise<void> = Promise.resolve()

  constructor(ledger: Pick<Ledger, 'raiseWatermark'>) {
    this.#ledger = ledger
  }

  /** Remembers what was seen; a version lower than known is ignored. In memory until {@link flush}. */
  note(saleId: string, version: Version, { durable, fingerprint }: Seen): void {
    const mark = { era: version.era, seq: version.seq, durable, fingerprint }
    if (this.#isKnown(saleId, mark)) return
    this.#marks.set(saleId, mark)
    this.#unwritten.add(saleId)
  }

  /** Null for a sale that nobody has seen in the store yet. */
  get(saleId: string): Mark | null {
    return this.#marks.get(saleId) ?? null
  }

  /** Takes in what the ledger knows. */
  learn(sales: readonly LedgerSale[]): void {
    for (const { definition, watermark, taken } of sales) {
      const mark = markOf(watermark)
      if (mark !== null && !this.#isKnown(definition.id, mark)) this.#marks.set(definition.id, mark)
      // Taken events were surely in the store, even where the watermark lags behind them.
      if (taken.era > 0 && mark !== null) this.note(definition.id, taken, mark)
    }
  }

  /** Resolves when the ledger has what was noted before; rejects with `DatabaseError`, and then the next one tells it. */
  flush(): Promise<void> {
    const written = this.#writing.then(() => this.#write())
    this.#writing = written.catch(() => {})
    return written
  }

  async #write(): Promise<void> {
    for (const saleId of this.#unwritten) {
      const mark = this.#marks.get(saleId)
      this.#unwritten.delete(saleId)
      if (mark === undefined) continue
      const { durable, fingerprint, era, seq } = mark
      try {
        await this.#ledger.raiseWatermark(saleId, { version: { era, seq }, durable, fingerprint })
      } catch (error) {
        this.#unwritten.add(saleId)
        throw error
      }
    }
  }

  /** The same version seen again may only change what is known about durability. */
  #isKnown(saleId: string, mark: Mark): boolean {
    const known = this.#marks.get(saleId)
    if (known === undefined) return false
    const order = compareVersions(mark, known)
    if (order !== 0) return order < 0
    return mark.durable === known.durable && mark.fingerprint === known.fingerprint
  }
}

function markOf({ version, durable, fingerprint }: Watermark): Mark | null {
  return version.era === 0 ? null : { era: version.era, seq: version.seq, durable, fingerprint }
}
