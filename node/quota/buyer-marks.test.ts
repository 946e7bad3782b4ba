import { describe, expect, it } from 'vitest'
import { BuyerMarks } from './buyer-marks.ts'

const COUNT = 50_000

describe('marks of buyers', () => {
  it('know every member, however many there are, and no stranger', () => {
    const marks = new BuyerMarks()
    for (let n = 0; n < COUNT; n += 1) marks.add(`buyer-${n}`)
    expect(marks.size).toBe(COUNT)
    for (let n = 0; n < COUNT; n += 1) if (!marks.has(`buyer-${n}`)) expect.unreachable(`buyer-${n} is not known`)
    const strangers = Array.from({ length: COUNT }, (_, n) => `buyer-${COUNT + n}`)
    expect(strangers.filter((name) => marks.has(name))).toEqual([])
  })

  it('tell apart texts of other lengths, order and case', () => {
    const marks = new BuyerMarks()
    for (const name of ['ab', ' ', 'x'.repeat(128)]) marks.add(name)
    for (const name of ['ba', 'a', 'abc', 'AB', '  ', '', 'x'.repeat(127)])
      expect([name, marks.has(name)]).toEqual([name, false])
  })

  it('count a buyer once', () => {
    const marks = new BuyerMarks()
    marks.add('ann')
    marks.add('ann')
    expect(marks.size).toBe(1)
  })
})
