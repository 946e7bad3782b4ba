import { describe, expect, it } from 'vitest'
import { hallSpacingMs } from './sale-feed.ts'

describe('how often a hall is spoken to', () => {
  it('is up to the slots while it is small', () => {
    expect([0, 1, 100, 1000].map((audience) => hallSpacingMs(audience))).toEqual([0, 0, 0, 0])
  })

  it('falls as it grows, so that all together hear no more, and ends at once a second', () => {
    expect([2000, 3000, 4000, 5000, 100_000].map((audience) => hallSpacingMs(audience))).toEqual([
      500, 750, 1000, 1000, 1000,
    ])
  })
})
