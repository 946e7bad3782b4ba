import { describe, expect, it } from 'vitest'
import { Host } from './host.ts'
import { Kernel } from './kernel.ts'

/** The kernel wants a task of the event loop for itself. */
function inTask(work: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        work()
        resolve()
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })
}

function hashOf(ms: number): string {
  const kernel = new Kernel(7)
  kernel.schedule(null, ms, 'x', () => kernel.note('seen', ms))
  kernel.run(100)
  return kernel.hash
}

describe('Kernel', () => {
  it('runs events by time, then in the order in which they were made', () =>
    inTask(() => {
      const kernel = new Kernel(1)
      const ran: string[] = []
      for (const [ms, name] of [
        [5, 'c'],
        [1, 'a'],
        [5, 'd'],
        [2, 'b'],
      ] as const) {
        kernel.schedule(null, ms, name, () => ran.push(`${name}${kernel.nowMs}`))
      }
      kernel.run(100)
      expect(ran).toEqual(['a1', 'b2', 'c5', 'd5'])
    }))

  it('finishes what follows by promises before the next event', () =>
    inTask(() => {
      const kernel = new Kernel(1)
      const ran: string[] = []
      const steps = async (): Promise<void> => {
        for (let step = 0; step < 50; step += 1) await Promise.resolve()
        ran.push('promised')
      }
      kernel.schedule(null, 1, 'first', () => void steps())
      kernel.schedule(null, 1, 'second', () => ran.push('second'))
      kernel.run(100)
      expect(ran).toEqual(['promised', 'second'])
    }))

  it('says so when it is started where promises cannot be finished', async () => {
    await Promise.resolve()
    expect(() => new Kernel(1).run(1)).toThrow('from a promise')
  })

  it('gives the same hash for the same events, another for others', () =>
    inTask(() => {
      expect(hashOf(3)).toBe(hashOf(3))
      expect(hashOf(3)).not.toBe(hashOf(4))
    }))
})

describe('Host', () => {
  it('does while paused nothing, afterwards all of it in order, and after a crash none of it', () =>
    inTask(() => {
      const kernel = new Kernel(1)
      const host = new Host(kernel, 'n1')
      const ran: string[] = []
      host.timers.after(10, () => ran.push(`a${kernel.nowMs}`))
      host.timers.after(20, () => ran.push(`b${kernel.nowMs}`))
      host.timers.after(60, () => ran.push('never'))
      kernel.schedule(null, 5, 'pause', () => host.pause())
      kernel.schedule(null, 30, 'resume', () => host.resume())
      kernel.schedule(null, 50, 'crash', () => host.crash())
      kernel.run(100)
      expect(ran).toEqual(['a30', 'b30'])
    }))

  it('keeps its own time', () =>
    inTask(() => {
      const kernel = new Kernel(1)
      const host = new Host(kernel, 'n1')
      host.rate = 2
      const at: number[] = []
      host.timers.after(10, () => at.push(kernel.nowMs, host.monotonicMs()))
      kernel.run(100)
      expect(at).toEqual([5, 10])
    }))
})
