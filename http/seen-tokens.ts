/**
 * Tokens that were checked before, within a bound, those in use first.
 *
 * In a rush every buyer is new. So a token is kept when it comes for the second time; of the first only a number is
 * noted, which the garbage collector need not look at. And the table is of fixed size, where a Map would be grown,
 * copied and thrown away all the time. A place is found by the end of the signature, because hashing a whole token
 * costs more than everything else about a refusal. Eight tokens share a place, newest first; the last is pushed out by
 * the next newcomer, unless it was asked for meanwhile, which brings it to the front.
 */
const WAYS = 8
const LAST = WAYS - 1
/** Characters of the signature that are looked at: 60 of its bits. */
const MARK_LENGTH = 10
const MULTIPLIER = 0x01000193

interface Kept<T> {
  readonly token: string
  readonly value: T
}

export class SeenTokens<T> {
  readonly #mask: number
  /** The first sight; 0 where nothing was seen. */
  readonly #marks: Int32Array
  /** Null until the second sight. One array of pairs: the fewer places are looked at, the fewer are not in a cache. */
  readonly #kept: (Kept<T> | null)[]

  /** Has room for `count` tokens, rounded up to eight times a power of two; where many meet in one place, some go. */
  constructor(count: number) {
    const places = 2 ** Math.max(0, Math.ceil(Math.log2(count / WAYS)))
    this.#mask = places - 1
    this.#marks = new Int32Array(places * WAYS)
    this.#kept = Array.from({ length: places * WAYS }, () => null)
  }

  /** The whole text is compared, so nobody passes with somebody else's signature. */
  get(token: string): T | undefined {
    const mark = markOf(token)
    const first = (mark & this.#mask) * WAYS
    for (let at = first; at < first + WAYS; at += 1) {
      if (this.#marks[at] !== mark) continue
      const kept = this.#kept[at] ?? null
      if (kept === null || kept.token !== token) continue
      if (at === first + LAST) this.#putFirst(first, mark, kept)
      return kept.value
    }
    return undefined
  }

  /** For a token that {@link get} does not find: notes it at the first time, keeps it at the second. */
  see(token: string, value: T): void {
    const mark = markOf(token)
    const first = (mark & this.#mask) * WAYS
    for (let at = first; at < first + WAYS; at += 1) {
      if (this.#marks[at] !== mark || this.#kept[at] !== null) continue
      this.#kept[at] = { token, value }
      return
    }
    this.#putFirst(first, mark, null)
  }

  /** What was last goes. */
  #putFirst(first: number, mark: number, kept: Kept<T> | null): void {
    for (let at = first + LAST; at > first; at -= 1) {
      this.#marks[at] = this.#marks[at - 1] as number
      this.#kept[at] = this.#kept[at - 1] ?? null
    }
    this.#marks[first] = mark
    this.#kept[first] = kept
  }
}

function markOf(token: string): number {
  let mark = 0
  for (let at = Math.max(0, token.length - MARK_LENGTH); at < token.length; at += 1) {
    mark = Math.imul(mark ^ token.charCodeAt(at), MULTIPLIER)
  }
  // The low bits of a product know nothing of the high bits of its factors.
  const mixed = mark ^ (mark >>> 15)
  return mixed === 0 ? 1 : mixed
}
