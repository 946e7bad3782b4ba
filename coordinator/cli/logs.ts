/** `logs`: the logs of this machine's processes, all together by time or one alone. */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nearName } from '../operations/near-name.ts'
import { CliError, EXIT, type RegisterCommand } from './frame.ts'

interface LogsOptions {
  readonly follow?: boolean
  readonly limit: string
}

const LOOK_EVERY_MS = 250
const TAIL_BYTES = 1024 * 1024

interface Line {
  readonly process: string
  readonly text: string
  /** Milliseconds, as the line says; lines without a time follow the one before. */
  readonly timeMs: number
}

export const registerLogs: RegisterCommand = (cli) => {
  cli.program
    .command('logs')
    .argument('[process]', 'n1, c1, redis, nginx, …; without: all')
    .option('-f, --follow', 'go on as lines come, until Ctrl-C')
    .option('--limit <n>', 'how many of the newest lines', '100')
    .description('the logs of the processes on this machine')
    .action(
      cli.action(async (common, options: LogsOptions, process?: string) => {
        const limit = /^\d{1,6}$/.test(options.limit) ? Number(options.limit) : 0
        if (limit < 1) throw new CliError(EXIT.usage, 'usage', `--limit ${options.limit}: a whole number is expected`)
        const tails = namesOf(resolve(common.dir), process).map((name) => new Tail(resolve(common.dir), name))
        const show = ({ process: from, text }: Line): string => (process === undefined ? `${from}: ${text}` : text)
        const lines = sorted(tails).slice(-limit)
        if (!options.follow) return { json: { items: lines }, text: lines.map(show).join('\n') }
        const print = (line: Line): void => cli.print(common.json ? JSON.stringify(line) : show(line))
        for (const line of lines) print(line)
        for (;;) {
          for (const line of sorted(tails)) print(line)
          await sleep(LOOK_EVERY_MS)
        }
      }),
    )
}

function namesOf(dir: string, wanted: string | undefined): string[] {
  const logs = join(dir, 'logs')
  if (!existsSync(logs)) {
    const message = `${dir} has no logs: no cluster was started here. Name its directory with --dir`
    throw new CliError(EXIT.noCluster, 'no_cluster', message)
  }
  const names = readdirSync(logs)
    .filter((name) => name.endsWith('.log'))
    .map((name) => name.slice(0, -4))
    .toSorted()
  if (existsSync(join(dir, 'nginx', 'error.log'))) names.push('nginx')
  if (wanted === undefined) return names
  if (names.includes(wanted)) return [wanted]
  const near = nearName(wanted, names)
  const hint = near === null ? `there are ${names.join(', ')}` : `did you mean ${near}?`
  throw new CliError(EXIT.refused, 'no_such_process', `no process "${wanted}" has a log: ${hint}`)
}

/** Reads on where it was; a partial last line waits for its end. */
class Tail {
  readonly #process: string
  readonly #path: string
  #position = -1
  #rest = ''
  #lastMs = 0

  constructor(dir: string, process: string) {
    this.#process = process
    this.#path = process === 'nginx' ? join(dir, 'nginx', 'error.log') : join(dir, 'logs', `${process}.log`)
  }

  read(): Line[] {
    const text = this.#rest + this.#more()
    const parts = text.split('\n')
    this.#rest = parts.pop() ?? ''
    return parts.filter((part) => part !== '').map((part) => this.#line(part))
  }

  #more(): string {
    if (!existsSync(this.#path)) return ''
    const file = openSync(this.#path, 'r')
    try {
      const { size } = fstatSync(file)
      // A file that shrank was begun anew.
      if (this.#position < 0 || size < this.#position) this.#position = Math.max(0, size - TAIL_BYTES)
      const buffer = Buffer.alloc(size - this.#position)
      readSync(file, buffer, 0, buffer.length, this.#position)
      this.#position = size
      return buffer.toString('utf8')
    } finally {
      closeSync(file)
    }
  }

  #line(text: string): Line {
    const time = /"time":"([^"]+)"/.exec(text)?.[1]
    const ms = time === undefined ? Number.NaN : Date.parse(time)
    if (!Number.isNaN(ms)) this.#lastMs = ms
    return { process: this.#process, text, timeMs: this.#lastMs }
  }
}

function sorted(tails: readonly Tail[]): Line[] {
  return tails.flatMap((tail) => tail.read()).toSorted((a, b) => a.timeMs - b.timeMs)
}
