/** Which cores serve and which make the load, so that neither takes the other's time. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

export interface Cores {
  /** As `taskset -c` takes it; null where processes cannot be pinned, or there is only one core. */
  readonly servers: string | null
  readonly load: string | null
}

/** The lower half serves; of an odd number it gets one more. */
export function divideCores(count = availableParallelism(), canPin = hasTaskset()): Cores {
  if (!canPin || count < 2) return { servers: null, load: null }
  const servers = Math.ceil(count / 2)
  return { servers: range(0, servers - 1), load: range(servers, count - 1) }
}

/** The program and its arguments, on those cores. taskset replaces itself: the pid is the program's. */
export function pinned(cores: string | null, program: string, args: readonly string[]): [string, string[]] {
  return cores === null ? [program, [...args]] : ['taskset', ['-c', cores, program, ...args]]
}

function range(from: number, to: number): string {
  return from === to ? String(from) : `${from}-${to}`
}

function hasTaskset(): boolean {
  return spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0
}
