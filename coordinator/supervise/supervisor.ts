/**
 * Watches a running cluster: says what died, and starts it again where that was asked for (`up --restart`).
 *
 * Processes are watched by pid and start time and not as children, since `node add` starts some that are not ours.
 *
 * What died is started again all at once. A process is ready only when those that it needs are: a node waits for the
 * coordinator that certifies the fleet anew, and everybody waits for Redis. Whoever brought them back one after the
 * other would wait for the node, and the coordinator would never have its turn.
 */
import { setTimeout } from 'node:timers/promises'
import { diedProcesses, startByName } from './cluster.ts'

export interface SupervisorOptions {
  readonly root: string
  readonly dir: string
  readonly restart: boolean
  readonly note: (line: string) => void
  readonly everyMs?: number
  /** The cluster's own, unless a test has others. */
  readonly processes?: WatchedProcesses
}

export interface WatchedProcesses {
  /** Names of those that do not run and should. */
  died(dir: string): Promise<readonly string[]>
  /** Resolves when it is ready. */
  start(root: string, dir: string, name: string, signal: AbortSignal): Promise<unknown>
}

const OWN: WatchedProcesses = {
  died: diedProcesses,
  start: (root, dir, name, signal) => startByName(root, dir, name, { signal }),
}

/** Runs until the returned function is called, which waits for the restarts under way. */
export function supervise(options: SupervisorOptions): () => Promise<void> {
  const { root, dir, restart, note, everyMs = 500, processes = OWN } = options
  const reported = new Set<string>()
  const starting = new Map<string, Promise<void>>()
  const stop = new AbortController()
  const tell = (error: unknown): void => note(error instanceof Error ? error.message : String(error))

  const startAgain = (name: string): void => {
    const done = processes
      .start(root, dir, name, stop.signal)
      .then(() => undefined, tell)
      .finally(() => starting.delete(name))
    starting.set(name, done)
  }
  const look = async (): Promise<void> => {
    // Noted before the look: one that comes back during it is still among the dead that it finds.
    const busy = new Set(starting.keys())
    const died = await processes.died(dir)
    for (const name of reported) if (!died.includes(name)) reported.delete(name)
    for (const name of died) {
      if (stop.signal.aborted) return
      if (busy.has(name)) continue
      if (!reported.has(name)) note(restart ? `${name} died; starting it again` : `${name} died`)
      reported.add(name)
      if (restart) startAgain(name)
    }
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await look().catch(tell)
      await setTimeout(everyMs, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  const running = run()
  return async () => {
    stop.abort()
    await running
    await Promise.all(starting.values())
  }
}
