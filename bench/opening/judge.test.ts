import { describe, expect, it } from 'vitest'
import { exitCode } from '../report/verdicts.ts'
import { type First, judgeOpening } from './main.ts'

function first(tookMs: number): First {
  return { at: 'n1', tookMs, medianMs: 1, aloneMs: 1.5, slowAfterwards: 10 }
}

describe('the verdict on an opening', () => {
  it('holds while every first purchase takes at most twice the median of the next thousand', () => {
    const verdicts = judgeOpening([first(0.5), first(1), first(2)])
    expect(verdicts.map(({ verdict, value }) => [verdict, value])).toEqual([
      ['PASS', 2],
      ['INFO', 1],
      ['INFO', 1.5],
      ['INFO', 1],
    ])
  })

  it('does not for a single one that took longer', () => {
    expect(judgeOpening([first(1), first(1), first(2.01)])[0]?.verdict).toBe('NOT REACHED')
  })

  it('fails when none was seen', () => {
    expect(exitCode(judgeOpening([]), false)).toBe(1)
  })
})
