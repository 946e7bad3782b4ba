/** What the bench starts, on which core, and how it ends. Everything is ended by its own pid. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'

/** Servers on one core, load on the other: neither takes the other's time. */
export const SERVER_CORE = 0
export const LOAD_CORE = 1

export interface Started {
  readonly child: ChildProcess
  stop(signal?: NodeJS.Signals): Promise<void>
}

export interface Program {
  readonly core: number
  readonly program: string
  readonly args: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly logPath: string
}

const running = new Set<ChildProcess>()
const STOP_WITHIN_MS = 5000

export function start({ core, program, args, environment, logPath }: Program): Started {
  const log = openSync(logPath, 'a')
  // taskset replaces itself by the program, so the pid is the program's.
  const child = spawn('taskset', ['-c', String(core), program, ...args], {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...environment },
  })
  running.add(child)
  const exited = once(child, 'exit').finally(() => running.delete(child))
  return {
    child,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
      await exited
      clearTimeout(timer)
    },
  }
}

/** To be ended with all others. */
export function track(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** For signals and failures: nothing is left behind. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** A program was ended by a signal: whoever runs the bench wants it to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** Runs to its end and returns what it printed; rejects with that when it fails. */
export async function output(core: number, program: string, args: readonly string[]): Promise<string> {
  const child = spawn('taskset', ['-c', String(core), program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  running.delete(child)
  if (signal !== null) throw new Interrupted(`${program} was ended by ${signal}`)
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${text.trim()}`)
  return text
}

export async function until(what: string, withinMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
