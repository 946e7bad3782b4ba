/** One kind of work, turn after turn, never two at a time; each turn says when the next one is due. */
import type { Logger } from '../../runtime/logger.ts'
import { systemTimers, type Timers } from '../../runtime/timers.ts'

export type PipelineLog = Pick<Logger, 'info' | 'warn' | 'error'>

export interface Turns {
  /** No further turn; resolves when the one under way has ended. */
  stop(): Promise<void>
}

/** After an error that a turn let through. */
const AFTER_ERROR_MS = 1000

/** `turn` returns how many milliseconds later the next one is due; 0 for at once. */
export function takeTurns(
  name: string,
  turn: () => Promise<number>,
  log: PipelineLog,
  timers: Timers = systemTimers,
): Turns {
  const runner = new TurnRunner(name, turn, log, timers)
  const done = runner.run()
  return {
    async stop() {
      runner.stop()
      await done
    },
  }
}

class TurnRunner {
  readonly #name: string
  readonly #turn: () => Promise<number>
  readonly #log: PipelineLog
  readonly #timers: Timers
  #isStopped = false
  #wake: (() => void) | null = null

  constructor(name: string, turn: () => Promise<number>, log: PipelineLog, timers: Timers) {
    this.#name = name
    this.#turn = turn
    this.#log = log
    this.#timers = timers
  }

  async run(): Promise<void> {
    while (!this.#isStopped) {
      const waitMs = await this.#takeTurn()
      if (!this.#isStopped) await this.#pause(waitMs)
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#wake?.()
  }

  async #takeTurn(): Promise<number> {
    try {
      return await this.#turn()
    } catch (error) {
      this.#log.error({ err: error, work: this.#name }, 'a turn of the pipeline failed')
      return AFTER_ERROR_MS
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const callOff = this.#timers.after(ms, resolve)
      this.#wake = () => {
        callOff()
        resolve()
      }
    })
    this.#wake = null
  }
}
