/** Does something again and again, never twice at once; an error ends the round, not the rounds. */
import type { Log } from './log.ts'
import { systemTimers, type Timers } from './timers.ts'

export interface Rounds {
  /** False until the first round ended well, and after one that did not. */
  lastSucceeded(): boolean
  failures(): number
  /** Resolves when the round under way has ended and no other will begin. */
  stop(): Promise<void>
}

export function startRounds(
  name: string,
  everyMs: number,
  round: () => Promise<void>,
  log: Log,
  timers: Timers = systemTimers,
): Rounds {
  let stopped = false
  let succeeded = false
  let failed = 0
  let lastError = ''
  let callOff: (() => void) | undefined
  let underWay: Promise<void> = Promise.resolve()

  async function go(): Promise<void> {
    try {
      await round()
      succeeded = true
      lastError = ''
    } catch (error) {
      succeeded = false
      failed += 1
      // The same trouble five times a second is told once.
      const message = error instanceof Error ? error.message : String(error)
      if (message !== lastError) log.error({ err: error, round: name }, 'a round failed')
      lastError = message
    }
    if (!stopped) callOff = timers.after(everyMs, start)
  }

  function start(): void {
    underWay = go()
  }

  start()
  return {
    lastSucceeded: () => succeeded,
    failures: () => failed,
    async stop() {
      stopped = true
      callOff?.()
      await underWay
    },
  }
}
