/** Timers that can be called off, and waiting no longer than so long. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemTimers, within } from './timers.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('timers', () => {
  it('run once, unless called off', () => {
    const rung: string[] = []
    systemTimers.after(10, () => rung.push('a'))
    const callOff = systemTimers.after(10, () => rung.push('b'))
    callOff()
    vi.advanceTimersByTime(100)
    expect(rung).toEqual(['a'])
  })

  it('answers that come in time are answers, and leave no timer behind', async () => {
    expect(await within(systemTimers, 10, Promise.resolve('yes'))).toBe('yes')
    await expect(within(systemTimers, 10, Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('answers that do not come are an error', async () => {
    const late = within(systemTimers, 10, new Promise(() => {}))
    const told = expect(late).rejects.toThrow('no answer within 10 ms')
    await vi.advanceTimersByTimeAsync(10)
    await told
  })
})
