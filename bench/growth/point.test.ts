import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { KNOWN_TOKENS } from '../ratios/contenders.ts'
import { partsOf } from './point.ts'

/** First and last request of each thread that sends `part`, as requests.lua divides it among so many. */
function threadsOf(part: { first: number; count: number }, threads: number): { first: number; last: number }[] {
  const each = Math.floor(part.count / threads)
  return Array.from({ length: threads }, (_, n) => ({
    first: part.first + n * each,
    last: part.first + (n + 1) * each,
  }))
}

describe('the requests of a point', () => {
  it('are refused to nobody who bought, however many nodes share them', () => {
    const file = { count: 710_000 }
    const { warmUp, purchases, known } = partsOf(file)
    expect(known.count).toBe(KNOWN_TOKENS)
    expect(known.first + known.count).toBe(file.count)
    expect(purchases.first).toBe(warmUp.first + warmUp.count)
    for (const threads of [1, 2, 5, 10, 20]) {
      for (const { last } of threadsOf(purchases, threads)) expect(last).toBeLessThanOrEqual(known.first)
    }
  })

  it('are divided by wrk as is believed here', () => {
    const lua = readFileSync(fileURLToPath(new URL('../ratios/requests.lua', import.meta.url)), 'utf8')
    expect(lua).toContain('wanted = math.floor(wanted / #addresses)\n    first = first + index * wanted')
  })
})
