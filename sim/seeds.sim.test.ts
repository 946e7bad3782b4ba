/** Simulated sales in CI: seeds that found a bug once, a fixed set, and new ones until the time is over. */
import { describe, expect, it } from 'vitest'
import { systemClock } from '../runtime/clock.ts'
import { findingLines } from './tally.ts'
import { REGRESSIONS } from './regressions.ts'
import { simulate } from './sale.ts'

const FIXED = Array.from({ length: 40 }, (_, index) => index + 1)
const NEW_FOR_MS = Number(process.env['FAREBOX_SIM_SECONDS'] ?? 30) * 1000

async function findingsOf(seed: number): Promise<string[]> {
  const { violations } = await simulate(seed)
  return violations.length === 0 ? [] : findingLines({ seed, violations })
}

describe('simulated sales', () => {
  it.each(REGRESSIONS)('seed $seed: $found', async ({ seed }) => {
    expect(await findingsOf(seed)).toEqual([])
  })

  it('keep every promise with the fixed seeds', async () => {
    const findings: string[] = []
    for (const seed of FIXED) findings.push(...(await findingsOf(seed)))
    expect(findings).toEqual([])
  })

  it('keep every promise with new seeds', async () => {
    // Another set every minute; printed, so that any of them can be replayed.
    const first = (Math.floor(systemClock.nowMs() / 60_000) % 4_000_000) * 1000
    const endMs = systemClock.monotonicMs() + NEW_FOR_MS
    const findings: string[] = []
    let seed = first
    for (; systemClock.monotonicMs() < endMs; seed += 1) findings.push(...(await findingsOf(seed)))
    process.stderr.write(`simulated sales: new seeds ${first}..${seed - 1}\n`)
    expect(findings).toEqual([])
  })

  it('go the same way with the same seed, traced or not', async () => {
    for (const seed of [1, 2, 3]) {
      const [once, again] = [await simulate(seed), await simulate(seed, true)]
      expect(again.hash).toBe(once.hash)
      expect(again.trace.length).toBeGreaterThan(100)
    }
    expect((await simulate(1)).hash).not.toBe((await simulate(2)).hash)
  })

  it('are disturbed: three faults each on average, every kind somewhere', async () => {
    const sales = []
    for (const seed of FIXED) sales.push(await simulate(seed))
    const effects = sales.flatMap((sale) => sale.effects)
    expect(effects.length / sales.length).toBeGreaterThan(2.5)
    expect(new Set(effects).size).toBeGreaterThan(10)
    expect(sales.every(({ nodes }) => nodes >= 4)).toBe(true)
  })
})
