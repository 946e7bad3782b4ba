/** How much was struck in a run, and the row of it that is kept in a table. */
import type { RoundReport } from './round.ts'

export class Tally {
  readonly #struck = new Map<string, number>()
  #rounds = 0
  #orders = 0
  #violations = 0

  add({ faults, orders, violations }: RoundReport): void {
    this.#rounds += 1
    this.#orders += orders
    this.#violations += violations.length
    for (const [name, times] of Object.entries(faults)) this.#struck.set(name, (this.#struck.get(name) ?? 0) + times)
  }

  /** A round that came to no end is one more violation. */
  addBroken(): void {
    this.#rounds += 1
    this.#violations += 1
  }

  times(prefix: string): number {
    return [...this.#struck].reduce((sum, [name, times]) => (name.startsWith(prefix) ? sum + times : sum), 0)
  }

  /** Of the primary, by whatever. */
  get failovers(): number {
    return this.times('kill -9 primary') + this.times('partition primary')
  }

  get text(): string {
    return JSON.stringify(Object.fromEntries(this.#struck))
  }

  /** The columns of its row behind begun and commit. */
  get cells(): (string | number)[] {
    const others = ['kill -9', 'pause', 'drop replies', 'partition primary']
    const more = [...this.#struck].filter(([name]) => !others.some((one) => name.startsWith(one)))
    return [
      this.#rounds,
      this.times('kill -9'),
      this.times('pause'),
      this.times('drop replies'),
      `${this.failovers}, ${this.times('partition primary')} by partition`,
      more.map(([name, times]) => `${name} ${times}`).join(', '),
      this.#orders,
      this.#violations,
    ]
  }
}
