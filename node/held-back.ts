/**
 * Orders that exist and are not told yet, until every node that may still say "no" from memory has heard that there was
 * something to buy again: so that no repeat of the request hears a "no" after its buyer has heard of the order. The why
 * is in `stock/core/heard.ts`.
 */
interface Waiting {
  readonly seq: number
  readonly untilMs: number
  readonly tell: () => void
}

/** What an answer waits for: that this seq is heard by all, or this moment of the own monotonic clock. */
export type Barrier = Omit<Waiting, 'tell'>

export class HeldBack {
  #waiting: Waiting[] = []
  #heardSeq = 0

  get size(): number {
    return this.#waiting.length
  }

  /** Tells at once where there is nothing to wait for. */
  tell(barrier: Barrier, nowMs: number, tell: () => void): void {
    if (this.#isOver(barrier, nowMs)) tell()
    else this.#waiting.push({ ...barrier, tell })
  }

  /** Every other node has heard of all changes up to `seq`. */
  heard(seq: number, nowMs: number): void {
    this.#heardSeq = Math.max(this.#heardSeq, seq)
    this.release(nowMs)
  }

  /** Called often: tells what need wait no longer. */
  release(nowMs: number): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const { tell, ...barrier } of waiting) this.tell(barrier, nowMs, tell)
  }

  #isOver({ seq, untilMs }: Barrier, nowMs: number): boolean {
    return seq <= this.#heardSeq || untilMs <= nowMs
  }
}
