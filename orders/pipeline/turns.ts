/** One kind of work, turn after turn, never two at a time; each turn says when the next one is due. */
import type { Logger } from '../../runtime/logger.ts'

export type PipelineLog = Pick<Logger, 'info' | 'warn' | 'error'>

export interface Turns {
  /** No further turn; resolves when the one under way has ended. */
  stop(): Promise<void>
}

/** After an error that a turn let through. */
const AFTER_ERROR_MS = 1000

/** `turn` returns how many milliseconds later the next one is due; 0 for at once. */
export function takeTurns(name: string, turn: () => Promise<number>, log: PipelineLog): Turns {
  const runner = new TurnRunner(name, turn, log)
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
  #isStopped = false
  #wake: (() => void) | null = null

  constructor(name: string, turn: () => Promise<number>, log: PipelineLog) {
    this.#name = name
    this.#turn = turn
    this.#log = log
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
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
  }
}
