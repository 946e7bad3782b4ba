import { describe, expect, it } from 'vitest'
import { parseSummary } from '../ratios/wrk.ts'
import { saleFaults, type SaleCount } from './sale-faults.ts'
import { exitCode, judgePairs, judgeValue, median, type Pair } from './verdicts.ts'

const sample = (perSecond: number, ...faults: string[]) => ({ perSecond, faults })
const pair = (ours: number, theirs: number): Pair => ({ ours: sample(ours), theirs: sample(theirs) })
const BAR = { name: 'ours against theirs', atLeast: 1.6 }

describe('ratios', () => {
  it('takes the median of the pairs, not the pair of the medians', () => {
    const verdict = judgePairs(BAR, [pair(2, 1), pair(30, 10), pair(100, 200)], 3)
    expect(verdict).toMatchObject({ verdict: 'PASS', value: 2, lowest: 0.5 })
  })

  it('is the mean of the middle two for an even number', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNaN()
  })

  it('tells a bar that is not reached, which is an error only when strict', () => {
    const verdict = judgePairs(BAR, [pair(1.5, 1)], 1)
    expect(verdict.verdict).toBe('NOT REACHED')
    expect([exitCode([verdict], false), exitCode([verdict], true)]).toEqual([0, 1])
  })

  it('fails on a missing sample, a missing pair, a missing figure and a sample with faults', () => {
    const faulty: Pair = { ours: sample(9, 'oversold'), theirs: sample(1) }
    for (const [pairs, wanted] of [
      [[{ ours: sample(9), theirs: null }], 1],
      [[pair(9, 1)], 2],
      [[pair(Number.NaN, 1)], 1],
      [[pair(9, 0)], 1],
      [[faulty], 1],
      [[], 0],
    ] as const) {
      const verdict = judgePairs(BAR, pairs, wanted)
      expect(verdict.verdict).toBe('FAIL')
      expect(exitCode([verdict], false)).toBe(1)
    }
    expect(judgeValue({ name: 'memory', atMost: 300 }, null).verdict).toBe('FAIL')
    expect(exitCode([], false)).toBe(1)
  })
})

describe('a sample of purchases', () => {
  const lawful: SaleCount = {
    fares: [{ fareId: 'a', stock: 10, remaining: 7, held: 3, paid: 0 }],
    orders: 3,
    buyers: 3,
    outcomes: { won: 3, busy: 0 },
    aborted: 0,
  }

  it('passes when all counts agree', () => {
    expect(saleFaults(lawful, ['won'])).toEqual([])
    expect(saleFaults({ ...lawful, outcomes: { won: 2 }, aborted: 1 }, ['won'])).toEqual([])
  })

  it('finds a planted duplicate sale: two answers 201 for one ticket', () => {
    expect(saleFaults({ ...lawful, outcomes: { won: 4 }, aborted: 9 }, ['won'])).toHaveLength(1)
    expect(saleFaults({ ...lawful, buyers: 2 }, ['won'])).toHaveLength(1)
  })

  it('finds a lost order, a broken law, an unexpected answer, counters that are not there', () => {
    expect(saleFaults({ ...lawful, orders: 2, buyers: 2 }, ['won'])).toHaveLength(1)
    expect(saleFaults({ ...lawful, outcomes: { won: 1 }, aborted: 1 }, ['won'])).toHaveLength(1)
    const oversold = [{ fareId: 'a', stock: 2, remaining: -1, held: 3, paid: 0 }]
    expect(saleFaults({ ...lawful, fares: oversold }, ['won'])).toHaveLength(1)
    expect(saleFaults({ ...lawful, outcomes: { won: 3, busy: 1 } }, ['won'])).toEqual(['1 unexpected answers: busy'])
    expect(saleFaults({ ...lawful, outcomes: {} }, ['won'])).toHaveLength(1)
    expect(saleFaults({ ...lawful, fares: [] }, ['won']).length).toBeGreaterThan(0)
  })
})

describe("wrk's summary", () => {
  const text = `Running 10s test
  Latency Distribution
     50%  812.00us
     75%    1.20ms
     99%    3.50ms
  600123 requests in 10.01s, 250.00MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 7
Requests/sec:  59952.3`

  it('is read', () => {
    expect(parseSummary(text)).toEqual({
      requests: 600_123,
      seconds: 10.01,
      refused: 7,
      socketErrors: 3,
      p50Ms: 0.812,
      p99Ms: 3.5,
    })
  })

  it('must be whole', () => {
    expect(() => parseSummary('unable to connect')).toThrow('no summary')
  })
})
