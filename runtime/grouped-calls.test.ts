import { describe, expect, it } from 'vitest'
import { GroupedCalls, TooManyWaiting } from './grouped-calls.ts'

/** Calls that end when the test says so. */
function calls(options: { readonly callsMax?: number; readonly itemsMax?: number; readonly waitingMax?: number } = {}) {
  const made: { readonly kind: string; readonly items: readonly number[]; end(error?: Error): Promise<void> }[] = []
  const grouped = new GroupedCalls<string, number, string>({
    callsMax: options.callsMax ?? 1,
    itemsMax: options.itemsMax ?? 10,
    waitingMax: options.waitingMax ?? 100,
    nameOf: (kind) => kind,
    call: (kind, items) =>
      new Promise((resolve, reject) => {
        made.push({
          kind,
          items,
          async end(error) {
            if (error === undefined) resolve(items.join(' '))
            else reject(error)
            await new Promise((done) => setImmediate(done))
          },
        })
      }),
  })
  return { grouped, made }
}

describe('GroupedCalls', () => {
  it('joins what is asked meanwhile into the next call, and tells each asker its result', async () => {
    const { grouped, made } = calls()
    const first = grouped.ask('a', [1])
    const [second, third] = [grouped.ask('a', [2, 3]), grouped.ask('a', [4])]
    expect(made.map(({ items }) => items)).toEqual([[1]])
    await made[0]?.end()
    expect(made.map(({ items }) => items)).toEqual([[1], [2, 3, 4]])
    await made[1]?.end()
    expect(await Promise.all([first, second, third])).toEqual(['1', '2 3 4', '2 3 4'])
  })

  it('does not mix kinds, nor exceed a call’s size, and leaves nobody behind', async () => {
    const { grouped, made } = calls({ itemsMax: 2 })
    const asked = [grouped.ask('a', [1]), grouped.ask('a', [2]), grouped.ask('b', [3]), grouped.ask('a', [4])]
    asked.push(grouped.ask('a', [5]), grouped.ask('b', [6, 7, 8]))
    for (let at = 0; at < made.length; at += 1) await made[at]?.end()
    expect(made.map(({ kind, items }) => `${kind} ${items.join(' ')}`)).toEqual([
      'a 1',
      'a 2 4',
      'b 3',
      'a 5',
      'b 6 7 8',
    ])
    expect((await Promise.all(asked)).length).toBe(6)
    expect(grouped.waiting).toBe(0)
  })

  it('has so many calls under way, and refuses what would wait beyond the bound', async () => {
    const { grouped, made } = calls({ callsMax: 2, waitingMax: 2 })
    const asked = [grouped.ask('a', [1]), grouped.ask('a', [2]), grouped.ask('a', [3, 4])]
    expect(made).toHaveLength(2)
    await expect(grouped.ask('a', [5])).rejects.toThrow(TooManyWaiting)
    for (let at = 0; at < made.length; at += 1) await made[at]?.end()
    expect(await Promise.all(asked)).toEqual(['1', '2', '3 4'])
  })

  it('tells all who shared a call of its error, and goes on', async () => {
    const { grouped, made } = calls()
    const first = grouped.ask('a', [1])
    const lost = Promise.allSettled([grouped.ask('a', [2]), grouped.ask('a', [3])])
    await made[0]?.end()
    await made[1]?.end(new Error('away'))
    expect((await lost).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    const last = grouped.ask('a', [4])
    await made[2]?.end()
    expect([await first, await last]).toEqual(['1', '4'])
  })
})
