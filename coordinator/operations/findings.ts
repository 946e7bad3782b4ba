/** What an audit found of one kind: the first ones in full, of the rest how many. */
import type { Problem } from './recount.ts'

/** More than anybody reads. */
export const PROBLEMS_MAX = 100

export class Findings {
  readonly #kept: Problem[] = []
  #count = 0

  add(...problems: readonly Problem[]): void {
    this.#count += problems.length
    this.#kept.push(...problems.slice(0, PROBLEMS_MAX - this.#kept.length))
  }

  get count(): number {
    return this.#count
  }

  list(): readonly Problem[] {
    const more = this.#count - this.#kept.length
    const rule = this.#kept.at(-1)?.rule
    return more === 0 || rule === undefined
      ? this.#kept
      : [...this.#kept, { rule, witness: `and at least ${more} more` }]
  }
}
