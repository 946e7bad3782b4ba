/** Calls between processes on their private ports: they arrive while the other runs, and are answered in time or not at all. */
import type { Host } from './host.ts'

const HOP_MS = 1

/**
 * What `read` comes to at another host. Undefined when that host does not run, ends or sleeps meanwhile, when `read`
 * fails, or when it takes longer than so many milliseconds.
 */
export function askAt<T>(
  from: Host,
  to: Host | undefined,
  withinMs: number,
  read: () => T | Promise<T>,
): Promise<T | undefined> {
  const { kernel, life } = from
  return new Promise((resolve) => {
    const answer = (value: T | undefined): void =>
      kernel.schedule(null, HOP_MS, 'answer', () => {
        if (from.life === life) kernel.schedule(from, 0, 'answer', () => resolve(value))
      })
    from.timers.after(withinMs, () => resolve(undefined))
    if (to === undefined || !to.isUp) return answer(undefined)
    kernel.schedule(to, HOP_MS, 'asked', () => {
      new Promise<T>((done) => {
        done(read())
      }).then(answer, () => answer(undefined))
    })
  })
}
