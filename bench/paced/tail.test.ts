import { describe, expect, it } from 'vitest'
import { judgeTail, type TailRound } from './tail.ts'

function round(p99Ms: number, lateP99Ms = 1): TailRound {
  return { maximumPerSecond: 20_000, p50Ms: 4, p99Ms, lateP99Ms, faults: [] }
}

describe('the tail at four fifths of the maximum', () => {
  it('is p99 against p50, the median of the rounds', () => {
    const [ratio] = judgeTail([round(8), round(16), round(80)])
    expect(ratio).toMatchObject({ verdict: 'PASS', value: 4 })
    expect(judgeTail([round(21)])[0]?.verdict).toBe('NOT REACHED')
  })

  it('is no figure where the load came late: everybody waited, which makes p50 and p99 alike', () => {
    const [ratio] = judgeTail([{ ...round(320, 300), p50Ms: 220 }])
    expect(ratio?.verdict).toBe('FAIL')
    expect(ratio?.faults[0]).toMatch(/^round 1: INVALID: purchases were sent up to 300.0 ms late/)
  })

  it('fails without a round, and with a faulty one', () => {
    expect(judgeTail([])[0]?.verdict).toBe('FAIL')
    expect(judgeTail([{ ...round(8), faults: ['1 sold, but 2 answered so'] }])[0]?.verdict).toBe('FAIL')
  })
})
