/**
 * Watches a running cluster: says what died, and starts it again where that was asked for (`up --restart`).
 *
 * Processes are watched by pid and start time and not as children, since `node add` starts some that are not ours.
 */
import { setTimeout } from 'node:timers/promises'
import { diedProcesses, startByName } from './cluster.ts'

export interface SupervisorOptions {
  readonly root: string
  readonly dir: string
  readonly restart: boolean
  readonly note: (line: string) => void
  readonly everyMs?: number
}

/** Runs until the returned function is called, which waits for a restart under way. */
export function supervise({ root, dir, restart, note, everyMs = 500 }: SupervisorOptions): () => Promise<void> {
  const reported = new Set<string>()
  const stop = new AbortController()

  const look = async (): Promise<void> => {
    const died = await diedProcesses(dir)
    for (const name of reported) if (!died.includes(name)) reported.delete(name)
    for (const name of died) {
      if (stop.signal.aborted) return
      if (!reported.has(name)) note(restart ? `${name} died; starting it again` : `${name} died`)
      reported.add(name)
      if (restart) await startByName(root, dir, name, { signal: stop.signal })
    }
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await look().catch((error: unknown) => note(error instanceof Error ? error.message : String(error)))
      await setTimeout(everyMs, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  const running = run()
  return async () => {
    stop.abort()
    await running
  }
}
