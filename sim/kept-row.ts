/** The row of a long run in a table that is kept with the code; true at any moment, so that the run may be interrupted. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../runtime/clock.ts'

/** Every table of runs begins with when they began, in UTC. */
const HEAD = '| begun '

export class KeptRow {
  readonly #path: string
  readonly #startedAt = new Date(systemClock.nowMs()).toISOString().slice(0, 16).replace('T', ' ')
  readonly #commit = commitNow()
  #isThere = false

  /** Of a document with one such table. */
  constructor(path: string) {
    this.#path = path
  }

  /** In place of what this run wrote before, else as the last row; `cells` are those behind begun and commit. */
  write(cells: readonly (string | number)[]): void {
    const lines = readFileSync(this.#path, 'utf8').split('\n')
    // Another run may have begun in the same minute, and its row stays.
    const own = this.#isThere ? lines.findLastIndex((line) => line.startsWith(`| ${this.#startedAt} `)) : -1
    const row = `| ${[this.#startedAt, this.#commit, ...cells].join(' | ')} |`
    if (own !== -1) lines[own] = row
    else {
      const head = lines.findIndex((line) => line.startsWith(HEAD))
      const end = lines.findIndex((line, at) => at > head && !line.startsWith('|'))
      lines.splice(end === -1 ? lines.length : end, 0, row)
    }
    writeFileSync(this.#path, lines.join('\n'))
    this.#isThere = true
    // Tables are aligned.
    execFileSync(process.execPath, [join('node_modules', 'prettier', 'bin', 'prettier.cjs'), '--write', this.#path])
  }
}

/** Which code ran: what changed in docs since is no other code. */
function commitNow(): string {
  try {
    const changed = git('status', '--porcelain', '--', ':!docs') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? ' (changed)' : ''}`
  } catch {
    return 'unknown'
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { encoding: 'utf8' }).trim()
}
