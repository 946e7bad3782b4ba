/**
 * A set of buyers that may say yes to a stranger, never no to a member.
 *
 * It holds 64 bits of each buyer instead of the text: in a sale of a million tickets that is a fifth of the memory, and
 * nothing that the garbage collector has to look at or copy while the sale is on. Two buyers of whom one won and who
 * agree in all 64 bits are so rare, and so little happens then (one asks the store instead of hearing the "no" from
 * memory), that the texts are not kept to tell them apart.
 */
const LEAST_PLACES = 1024
/** Looking on until a place is empty stays short while every second is. */
const FULLEST = 0.5

export class BuyerMarks {
  /** Two numbers a place; both 0 where it is empty. */
  #places = new Int32Array(2 * LEAST_PLACES)
  #mask = LEAST_PLACES - 1
  #size = 0
  /** Of the buyer last looked at. */
  #high = 0
  #low = 0

  get size(): number {
    return this.#size
  }

  add(buyer: string): void {
    this.#mark(buyer)
    const at = this.#find(this.#high, this.#low)
    if (this.#places[at + 1] !== 0) return
    this.#places[at] = this.#high
    this.#places[at + 1] = this.#low
    this.#size += 1
    if (this.#size > FULLEST * (this.#mask + 1)) this.#grow()
  }

  has(buyer: string): boolean {
    this.#mark(buyer)
    return this.#places[this.#find(this.#high, this.#low) + 1] !== 0
  }

  /** Where these numbers are, or the empty place where they belong. */
  #find(high: number, low: number): number {
    const places = this.#places
    for (let place = high & this.#mask; ; place = (place + 1) & this.#mask) {
      const at = 2 * place
      const there = places[at + 1]
      if (there === 0 || (there === low && places[at] === high)) return at
    }
  }

  #grow(): void {
    const old = this.#places
    this.#places = new Int32Array(2 * old.length)
    this.#mask = 2 * this.#mask + 1
    for (let at = 0; at < old.length; at += 2) {
      const [high = 0, low = 0] = [old[at], old[at + 1]]
      if (low === 0) continue
      const to = this.#find(high, low)
      this.#places[to] = high
      this.#places[to + 1] = low
    }
  }

  /** Two hashes of the text side by side, each mixed to its end with the other; the low one is never 0. */
  #mark(buyer: string): void {
    let [one, other] = [0x9e3779b9, 0x85ebca6b]
    for (let at = 0; at < buyer.length; at += 1) {
      const code = buyer.charCodeAt(at)
      one = Math.imul(one ^ code, 0x9e3779b1)
      other = Math.imul(other ^ code, 0x5f356495)
    }
    one = Math.imul(one ^ (one >>> 16), 0x85ebca6b) ^ Math.imul(other ^ (other >>> 13), 0xc2b2ae35)
    other = Math.imul(other ^ (other >>> 16), 0x85ebca6b) ^ Math.imul(one ^ (one >>> 13), 0xc2b2ae35)
    this.#high = one
    this.#low = other === 0 ? 1 : other
  }
}
