/** Where a set of runs stands: a bar on a terminal, a line per step elsewhere. */

const WIDTH = 24
const REDRAW_EVERY_MS = 1000

export interface Screen {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

export class Progress {
  readonly #screen: Screen
  readonly #steps: readonly { readonly name: string; readonly seconds: number }[]
  readonly #startMs: number
  readonly #nowMs: () => number
  #at = -1
  #stepStartMs = 0
  #timer: NodeJS.Timeout | null = null

  /** `seconds` is what a step takes, about. */
  constructor(screen: Screen, steps: readonly { name: string; seconds: number }[], nowMs: () => number) {
    this.#screen = screen
    this.#steps = steps
    this.#nowMs = nowMs
    this.#startMs = nowMs()
  }

  begin(): void {
    this.#at += 1
    this.#stepStartMs = this.#nowMs()
    if (this.#screen.isTTY !== true) this.#screen.write(`${this.line()}\n`)
    else this.#timer ??= setInterval(() => this.#draw(), REDRAW_EVERY_MS)
    this.#draw()
  }

  /** Something worth a line of its own. */
  say(line: string): void {
    this.#screen.write(this.#screen.isTTY === true ? `\r\u001b[K${line}\n` : `${line}\n`)
    this.#draw()
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    if (this.#screen.isTTY === true) this.#screen.write('\r\u001b[K')
  }

  line(): string {
    const total = this.#steps.reduce((sum, { seconds }) => sum + seconds, 0)
    const before = this.#steps.slice(0, Math.max(0, this.#at)).reduce((sum, { seconds }) => sum + seconds, 0)
    const step = this.#steps[this.#at]
    const inStep = Math.min((this.#nowMs() - this.#stepStartMs) / 1000, (step?.seconds ?? 0) * 0.95)
    const share = total === 0 ? 0 : Math.min(1, (before + inStep) / total)
    const filled = Math.round(share * WIDTH)
    const bar = `${'█'.repeat(filled)}${'·'.repeat(WIDTH - filled)}`
    const left = Math.max(0, total - before - inStep)
    const name = `${this.#at + 1}/${this.#steps.length} ${step?.name ?? ''}`
    return `${bar}  ${name}  ${clock((this.#nowMs() - this.#startMs) / 1000)} gone, about ${clock(left)} left`
  }

  #draw(): void {
    if (this.#screen.isTTY !== true || this.#at < 0) return
    this.#screen.write(`\r\u001b[K${this.line().slice(0, (this.#screen.columns ?? 80) - 1)}`)
  }
}

function clock(seconds: number): string {
  const whole = Math.round(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
