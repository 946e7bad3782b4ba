import { describe, expect, it } from 'vitest'
import { judge, type First } from './main.ts'

function first(tookMs: number): First {
  return { at: 'n1', tookMs, medianMs: 1, slowAfterwards: 10 }
}

describe('the verdict on an opening', () => {
  it('holds while every first purchase takes at most twice the median of the next thousand', () => {
    const { lines, holds } = judge([first(0.5), first(1), first(2)])
    expect(holds).toBe(true)
    expect(lines[0]).toBe('3 of 3 first purchases within 2 times the median of the next 1000')
    expect(lines[1]).toBe('ratio: median 1.00, worst 2.00')
    expect(lines[2]).toContain('1.0 % took more than 2 times')
  })

  it('fails for a single one that took longer, and for none at all', () => {
    expect(judge([first(1), first(2.01)]).holds).toBe(false)
    expect(judge([]).holds).toBe(false)
  })
})
