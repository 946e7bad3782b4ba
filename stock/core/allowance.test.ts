import { describe, expect, it } from 'vitest'
import { allowanceOf } from './allowance.ts'

const quarter = { remaining: 1000, weight: 1, liveWeight: 4, limitPerBuyer: 2, buffer: { percent: 10 } }

describe('allowanceOf', () => {
  it('is the fair share by weight, plus the buffer', () => {
    expect(allowanceOf(quarter)).toBe(250 + 25)
    expect(allowanceOf({ ...quarter, weight: 3, liveWeight: 6 })).toBe(500 + 50)
    expect(allowanceOf({ ...quarter, buffer: { tickets: 7 } })).toBe(250 + 7)
  })

  it('rounds share and buffer up; a share has a buffer of at least 1', () => {
    expect(allowanceOf({ ...quarter, remaining: 11 })).toBe(3 + 1)
    expect(allowanceOf({ ...quarter, remaining: 1001 })).toBe(251 + 26)
    expect(allowanceOf({ ...quarter, remaining: 40, buffer: { percent: 0 } })).toBe(10 + 1)
  })

  it('is never below what one buyer may ask for while anything remains, and 0 at zero', () => {
    expect(allowanceOf({ ...quarter, remaining: 1, limitPerBuyer: 6 })).toBe(6)
    expect(allowanceOf({ ...quarter, remaining: 1, limitPerBuyer: 6, buffer: { tickets: 0 } })).toBe(6)
    expect(allowanceOf({ ...quarter, remaining: 0, buffer: { tickets: 50 } })).toBe(0)
  })

  it('is the buffer alone without live weight, and for a node that drains', () => {
    expect(allowanceOf({ ...quarter, liveWeight: 0, buffer: { tickets: 5 } })).toBe(5)
    expect(allowanceOf({ ...quarter, weight: 0, buffer: { tickets: 5 } })).toBe(5)
    expect(allowanceOf({ ...quarter, weight: 0 })).toBe(2)
  })

  it('covers by all nodes together at least what remains, so that nothing is stranded', () => {
    for (const weights of [[1], [1, 2, 3, 4], [5, 5, 1], Array.from({ length: 20 }, () => 1)]) {
      const liveWeight = weights.reduce((sum, weight) => sum + weight, 0)
      for (let remaining = 1; remaining < 300; remaining += 1) {
        const sum = weights
          .map((weight) => allowanceOf({ ...quarter, remaining, weight, liveWeight }))
          .reduce((total, allowance) => total + allowance, 0)
        expect(sum).toBeGreaterThan(remaining)
      }
    }
  })
})
