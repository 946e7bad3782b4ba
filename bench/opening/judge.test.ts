import { describe, expect, it } from 'vitest'
import { exitCode } from '../report/verdicts.ts'
import { type First, judgeOpening } from './main.ts'

function first(tookMs: number): First {
  return { at: 'n1', tookMs, medianMs: 1, slowAfterwards: 10 }
}

describe('the verdict on an opening', () => {
  it('holds while the median of the first purchases takes at most twice as long as a later one', () => {
    const verdicts = judgeOpening([first(1), first(2), first(3)])
    expect(verdicts.map(({ verdict, value }) => [verdict, value])).toEqual([
      ['PASS', 2],
      ['INFO', 3],
      ['INFO', 1],
    ])
  })

  it('does not when half of them took longer', () => {
    expect(judgeOpening([first(1), first(2.01), first(2.02)])[0]?.verdict).toBe('NOT REACHED')
  })

  it('fails when none was seen', () => {
    expect(exitCode(judgeOpening([]), false)).toBe(1)
  })
})
