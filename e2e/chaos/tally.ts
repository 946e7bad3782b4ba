/** How much was struck in a run, and its row in the table that is kept; the row is true after every round. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RoundReport } from './round.ts'

const HEAD = '| begun '

export class Tally {
  readonly #struck = new Map<string, number>()
  readonly #startedAt = new Date(performance.timeOrigin + performance.now())
    .toISOString()
    .slice(0, 16)
    .replace('T', ' ')
  readonly #commit = commitNow()
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

  /** In place of the row that this run wrote before, else as the last of the table. */
  record(path: string): void {
    const others = ['kill -9', 'pause', 'drop replies', 'partition primary']
    const more = [...this.#struck].filter(([name]) => !others.some((one) => name.startsWith(one)))
    const cells = [
      this.#startedAt,
      this.#commit,
      this.#rounds,
      this.times('kill -9'),
      this.times('pause'),
      this.times('drop replies'),
      `${this.failovers}, ${this.times('partition primary')} by partition`,
      more.map(([name, times]) => `${name} ${times}`).join(', '),
      this.#orders,
      this.#violations,
    ]
    const lines = readFileSync(path, 'utf8').split('\n')
    const own = lines.findIndex((line) => line.startsWith(`| ${this.#startedAt} `))
    const row = `| ${cells.join(' | ')} |`
    if (own !== -1) lines[own] = row
    else {
      const head = lines.findIndex((line) => line.startsWith(HEAD))
      const end = lines.findIndex((line, at) => at > head && !line.startsWith('|'))
      lines.splice(end === -1 ? lines.length : end, 0, row)
    }
    writeFileSync(path, lines.join('\n'))
    // Tables are aligned.
    execFileSync(process.execPath, [join('node_modules', 'prettier', 'bin', 'prettier.cjs'), '--write', path])
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim()
}

/** Which code was broken: what changed in docs since is no other code. */
function commitNow(): string {
  try {
    const changed = git('status', '--porcelain', '--', ':!docs') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' (changed)' : ''}`
  } catch {
    return 'unknown'
  }
}
