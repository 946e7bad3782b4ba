/**
 * All buyers who ever got an order in the sale. A buyer outside this set cannot be repeating a request that won,
 * so a refusal from memory does them no wrong. It only grows, and may take a stranger for a winner, never the reverse.
 *
 * It follows the sale's events by a cursor. A node that has just joined an era does not know what came before: it
 * reads the whole set in pages, and follows events from the version noted first.
 */
import { compareVersions, type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import { BuyerMarks } from './buyer-marks.ts'

export class Winners {
  readonly #buyers = new BuyerMarks()
  /** `reading` the whole set; `following` events. */
  #mode: 'reading' | 'following' = 'reading'
  #reading = 0
  #cursor: Version = VERSION_ZERO
  /** The set holds everybody who won up to this version; meaningful while following. */
  #completeAt: Version = VERSION_ZERO

  get size(): number {
    return this.#buyers.size
  }

  get cursor(): Version {
    return this.#cursor
  }

  get isReading(): boolean {
    return this.#mode === 'reading'
  }

  /** Number of the reading under way; a newer one replaces it. */
  get reading(): number {
    return this.#reading
  }

  /** From now on the whole set is to be read; events are followed from `noted`. */
  startReading(noted: Version): void {
    this.#mode = 'reading'
    this.#reading += 1
    this.#cursor = noted
    this.#completeAt = VERSION_ZERO
  }

  /** The last page of the whole set has been added by this reading. */
  finishReading(reading: number): void {
    if (reading === this.#reading) this.#mode = 'following'
  }

  /** Does the set hold everybody who won at or before `version`? */
  isCompleteAt(version: Version): boolean {
    return this.#mode === 'following' && compareVersions(this.#completeAt, version) >= 0
  }

  add(buyer: string): void {
    this.#buyers.add(buyer)
  }

  has(buyer: string): boolean {
    return this.#buyers.has(buyer)
  }

  /** A page of events, read in one step with the sale at version `at`. */
  follow(buyers: readonly string[], cursor: Version, isComplete: boolean, at: Version): void {
    for (const buyer of buyers) this.#buyers.add(buyer)
    if (compareVersions(cursor, this.#cursor) > 0) this.#cursor = cursor
    if (isComplete && compareVersions(at, this.#completeAt) > 0) this.#completeAt = at
  }

  /**
   * This node itself made the change at `version`, and has added its winners: if it follows the cursor at once, there
   * is nothing about it to be read. False when something lies between.
   */
  passOwn(version: Version): boolean {
    if (version.era !== this.#cursor.era || version.seq !== this.#cursor.seq + 1) return false
    this.#cursor = version
    return true
  }

  /** Could this buyer have won at or before `version`? False only when that is known. */
  mayHaveWon(buyer: string, version: Version): boolean {
    if (this.#buyers.has(buyer)) return true
    return !this.isCompleteAt(version)
  }
}
