import { describe, expect, it } from 'vitest'
import { Winners } from './winners.ts'

function followingTo(seq: number): Winners {
  const winners = new Winners()
  winners.startReading({ era: 2, seq: 0 })
  winners.follow([], { era: 2, seq }, true, { era: 2, seq })
  winners.finishReading(winners.reading)
  return winners
}

describe('a change that the node made itself', () => {
  it('need not be read when it follows the cursor at once', () => {
    const winners = followingTo(7)
    winners.add('ann')
    expect(winners.passOwn({ era: 2, seq: 8 })).toBe(true)
    expect(winners.cursor).toEqual({ era: 2, seq: 8 })
  })

  it.each([
    ['something lies between', { era: 2, seq: 9 }],
    ['it is known already', { era: 2, seq: 7 }],
    ['it is of another era', { era: 3, seq: 8 }],
  ])('is read like all others when %s', (_, version) => {
    const winners = followingTo(7)
    expect(winners.passOwn(version)).toBe(false)
    expect(winners.cursor).toEqual({ era: 2, seq: 7 })
  })

  it('says nothing about winners that were not heard of in one atomic read', () => {
    const winners = followingTo(7)
    winners.passOwn({ era: 2, seq: 8 })
    expect(winners.mayHaveWon('bob', { era: 2, seq: 8 })).toBe(true)
    winners.follow([], { era: 2, seq: 8 }, true, { era: 2, seq: 8 })
    expect(winners.mayHaveWon('bob', { era: 2, seq: 8 })).toBe(false)
  })
})
