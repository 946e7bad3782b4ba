import { afterEach, expect, it } from 'vitest'
import { supervise } from './supervisor.ts'

/** Processes that die when they are told to, and are ready when those that they need run. */
class FakeProcesses {
  readonly running = new Set(['redis', 'c1', 'n1', 'o1'])
  readonly started: string[] = []
  readonly #needs: Readonly<Record<string, readonly string[]>>

  constructor(needs: Readonly<Record<string, readonly string[]>>) {
    this.#needs = needs
  }

  /** In the order in which a cluster is stopped, as the real ones are. */
  async died(): Promise<string[]> {
    return ['n1', 'o1', 'c1', 'redis'].filter((name) => !this.running.has(name))
  }

  async start(_root: string, _dir: string, name: string, signal: AbortSignal): Promise<void> {
    this.started.push(name)
    while (!(this.#needs[name] ?? []).every((other) => this.running.has(other))) {
      if (signal.aborted) throw new Error(`${name} was interrupted`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    this.running.add(name)
  }
}

let stop: () => Promise<void> = async () => {}
afterEach(() => stop())

function watch(processes: FakeProcesses): string[] {
  const notes: string[] = []
  stop = supervise({ root: '', dir: '', restart: true, note: (line) => notes.push(line), everyMs: 1, processes })
  return notes
}

it('a node that waits for the coordinator does not keep the coordinator from being started', async () => {
  const processes = new FakeProcesses({ n1: ['redis', 'c1'], o1: ['redis'], c1: ['redis'] })
  watch(processes)
  processes.running.clear()
  await expect.poll(() => [...processes.running].toSorted()).toEqual(['c1', 'n1', 'o1', 'redis'])
  expect(processes.started.toSorted()).toEqual(['c1', 'n1', 'o1', 'redis'])
})

it('one that cannot be started is tried again, and keeps no other from it', async () => {
  const processes = new FakeProcesses({})
  const start = processes.start.bind(processes)
  let tries = 0
  processes.start = async (root, dir, name, signal) => {
    if (name === 'n1' && (tries += 1) < 3) throw new Error('n1 did not become ready')
    await start(root, dir, name, signal)
  }
  const notes = watch(processes)
  processes.running.clear()
  await expect.poll(() => processes.running.size).toBe(4)
  expect(tries).toBe(3)
  expect(notes.filter((note) => note === 'n1 died; starting it again')).toHaveLength(1)
})

it('waits for what is being started when it is stopped', async () => {
  const processes = new FakeProcesses({ n1: ['nobody'] })
  const notes = watch(processes)
  processes.running.delete('n1')
  await expect.poll(() => processes.started).toEqual(['n1'])
  await stop()
  expect(notes.at(-1)).toBe('n1 was interrupted')
})
