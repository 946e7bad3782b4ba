/** `watch`: a running sale, live: the whole terminal where there is one, else a line for each look. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { WatchFrame } from '../operations/watch.ts'
import { ask } from './cluster.ts'
import { CliError, EXIT, type Cli, type RegisterCommand } from './frame.ts'
import { salePath } from './sale-path.ts'
import { plainLine, ratesOf, renderWatch } from './watch-view.ts'

interface WatchOptions {
  readonly every: string
  readonly plain?: boolean
  readonly count?: string
}

const HISTORY_MAX = 500

export const registerWatch: RegisterCommand = (cli) => {
  cli.program
    .command('watch')
    .argument('[id]', 'the sale; without: all')
    .option('--every <seconds>', 'time between two looks', '1')
    .option('--plain', 'lines instead of the whole terminal')
    .option('--count <n>', 'end after so many looks')
    .description('live view: rates by outcome, what remains, quotas, batches, latency, nodes, alarms; q quits')
    .action(
      cli.action(async (common, options: WatchOptions, id?: string) => {
        if (id !== undefined) salePath(id)
        const everyMs = number('--every', options.every) * 1000
        const looks = options.count === undefined ? Infinity : number('--count', options.count)
        const look = (): Promise<WatchFrame> =>
          ask(common, { method: 'GET', path: `/admin/watch${id === undefined ? '' : `?sale=${id}`}` }, null)
        if (common.json) return await once(look, everyMs)
        const isTerminal = process.stdout.isTTY && process.stdin.isTTY && options.plain !== true
        if (isTerminal) await fullScreen(look, everyMs, looks)
        else await lines(cli, look, everyMs, looks)
        return { json: null, text: '' }
      }),
    )
}

/** Two looks, so that there are rates. */
async function once(look: () => Promise<WatchFrame>, everyMs: number) {
  const before = await look()
  await sleep(everyMs)
  const frame = await look()
  const seconds = Math.max(0.001, (frame.nowMs - before.nowMs) / 1000)
  return { json: { ...frame, rates: ratesOf(before.nodes, frame.nodes, seconds) }, text: '' }
}

async function lines(cli: Cli, look: () => Promise<WatchFrame>, everyMs: number, looks: number): Promise<void> {
  let before: WatchFrame | null = null
  for (let count = 0; count < looks; count += 1) {
    const frame: WatchFrame = await look()
    cli.print(plainLine(frame, before))
    before = frame
    if (count + 1 < looks) await sleep(everyMs)
  }
}

const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const TO_LINE_END = '\u001b[K'
const TO_SCREEN_END = '\u001b[J'

/** The terminal is as it was before, however this ends. */
async function fullScreen(look: () => Promise<WatchFrame>, everyMs: number, looks: number): Promise<void> {
  const { stdout, stdin } = process
  const quit = new AbortController()
  const onKey = (key: Buffer): void => {
    // Ctrl-C is a key while the terminal is raw.
    if (['q', 'Q', '\u0003', '\u0004'].includes(key.toString())) quit.abort()
  }
  const onSignal = (): void => quit.abort()
  const leave = (): void => void stdout.write(LEAVE)
  const view = new View()
  const draw = (): void => void stdout.write(view.text())
  stdin.setRawMode(true).resume().on('data', onKey)
  process.on('SIGTERM', onSignal).on('SIGHUP', onSignal).on('exit', leave)
  stdout.write(ENTER)
  stdout.on('resize', draw)
  try {
    for (let count = 0; count < looks && !quit.signal.aborted; count += 1) {
      await view.look(look)
      draw()
      await sleep(everyMs, undefined, { signal: quit.signal }).catch(() => undefined)
    }
  } finally {
    stdout.off('resize', draw)
    process.off('SIGTERM', onSignal).off('SIGHUP', onSignal).off('exit', leave)
    stdin.off('data', onKey).setRawMode(false).pause()
    leave()
  }
}

class View {
  #frame: WatchFrame | null = null
  #before: WatchFrame | null = null
  /** Why the last look failed: the frame before it stays on the screen. */
  #trouble: string | null = null
  readonly #won: number[] = []

  async look(look: () => Promise<WatchFrame>): Promise<void> {
    try {
      const frame = await look()
      this.#before = this.#frame
      this.#frame = frame
      this.#trouble = null
      if (this.#before === null) return
      const seconds = Math.max(0.001, (frame.nowMs - this.#before.nowMs) / 1000)
      this.#won.push(ratesOf(this.#before.nodes, frame.nodes, seconds).won)
      if (this.#won.length > HISTORY_MAX) this.#won.shift()
    } catch (error) {
      // A sale that does not exist will not come by waiting.
      if (error instanceof CliError && this.#frame === null) throw error
      this.#trouble = error instanceof Error ? error.message : String(error)
    }
  }

  text(): string {
    const { columns, rows } = process.stdout
    const colours = process.env['NO_COLOR'] === undefined
    const screen = { columns, rows: this.#trouble === null ? rows : rows - 1, colours }
    const shown = this.#frame === null ? [] : renderWatch(this.#frame, this.#before, this.#won, screen)
    if (this.#trouble !== null) shown.unshift(`NO ANSWER: ${this.#trouble}`.slice(0, columns))
    return HOME + shown.map((line) => line + TO_LINE_END).join('\r\n') + TO_SCREEN_END
  }
}

function number(option: string, text: string): number {
  const value = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (value > 0) return value
  throw new CliError(EXIT.usage, 'usage', `${option} ${text}: a number above 0 is expected`)
}
