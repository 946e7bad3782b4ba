/**
 * How a process ends: in steps with names, in order, each within its time, exactly once.
 *
 * SIGTERM and SIGINT start the steps; a second signal ends at once, because somebody is waiting. An error that
 * nobody handled, or a broken stock law, ends the process too: going on with unknown state is worse than being dead,
 * which the rest of the fleet is built to survive. Then no step runs that could still sell: the process just leaves.
 */
import type { Logger } from './logger.ts'

export interface StopStep {
  readonly name: string
  /** After this the next step starts anyway. */
  readonly timeoutMs: number
  run(): void | Promise<void>
}

/** The part of `process` that is used, so that a test can stand in. */
export interface HostProcess {
  on(event: string, listener: (...values: unknown[]) => void): unknown
  exit(code: number): unknown
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const
const SIGNAL_EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const

export class LifeCycle {
  readonly #logger: Logger
  readonly #host: HostProcess
  readonly #steps: StopStep[] = []
  /** `running` until the first reason to stop; `stopping` while the steps run; `stopped` is final. */
  #state: 'running' | 'stopping' | 'stopped' = 'running'
  #stopped: Promise<number> | null = null

  constructor(logger: Logger, host: HostProcess = process) {
    this.#logger = logger
    this.#host = host
  }

  get state(): 'running' | 'stopping' | 'stopped' {
    return this.#state
  }

  /** Steps run in the order in which they were added: fail readiness first, close stores last. */
  addStopStep(step: StopStep): void {
    this.#steps.push(step)
  }

  /** From now on signals and unhandled errors are answered as the header says. */
  listen(): void {
    for (const signal of SIGNALS) this.#host.on(signal, () => this.#onSignal(signal))
    this.#host.on('uncaughtException', (error) => this.fail(error))
    this.#host.on('unhandledRejection', (reason) => this.fail(reason))
  }

  /** Runs the steps and resolves with the exit code: 0, or 1 when a step failed or took too long. Ends nothing. */
  stop(reason: string): Promise<number> {
    this.#stopped ??= this.#runSteps(reason)
    return this.#stopped
  }

  /** An error nobody handled: log it and leave at once. */
  fail(error: unknown): void {
    this.#logger.fatal({ err: error }, 'stopping at once: an error that nobody handled')
    this.#state = 'stopped'
    this.#host.exit(1)
  }

  #onSignal(signal: (typeof SIGNALS)[number]): void {
    if (this.#state !== 'running') {
      this.#logger.warn({ signal }, 'second signal: leaving at once')
      this.#host.exit(SIGNAL_EXIT_CODES[signal])
      return
    }
    void this.stop(signal).then((code) => this.#host.exit(code))
  }

  async #runSteps(reason: string): Promise<number> {
    this.#state = 'stopping'
    this.#logger.info({ reason }, 'stopping')
    let code = 0
    for (const step of this.#steps) {
      const error = await runWithin(step)
      if (error === null) continue
      this.#logger.error({ step: step.name, err: error }, 'stop step failed')
      code = 1
    }
    this.#state = 'stopped'
    this.#logger.info({ reason, code }, 'stopped')
    return code
  }
}

async function runWithin(step: StopStep): Promise<Error | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Error>((resolve) => {
    timer = setTimeout(() => resolve(new Error(`not done within ${step.timeoutMs} ms`)), step.timeoutMs)
  })
  const done = (async () => {
    await step.run()
    return null
  })().catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))))
  const result = await Promise.race([done, late])
  clearTimeout(timer)
  return result
}
