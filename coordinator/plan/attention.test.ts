import { describe, expect, it } from 'vitest'
import { DEAF, hear, uninterruptedMs, type Attention } from './attention.ts'

const deadAfterMs = 1500

/** Answers at these times of the judge's clock; the store's clock is `skewMs` ahead. */
function answersAt(times: readonly number[], skewMs = 1_000_000): Attention {
  return times.reduce((attention, at) => hear(attention, { heardAtMs: at, storeNowMs: at + skewMs }, deadAfterMs), DEAF)
}

describe('attention', () => {
  it('starts at nothing and grows with answers', () => {
    expect(uninterruptedMs(DEAF)).toBe(0)
    expect(uninterruptedMs(answersAt([0]))).toBe(0)
    expect(uninterruptedMs(answersAt([0, 200, 400]))).toBe(400)
  })

  it('starts anew after a gap longer than half of deadAfterMs, not after a shorter one', () => {
    expect(uninterruptedMs(answersAt([0, 750]))).toBe(750)
    expect(uninterruptedMs(answersAt([0, 200, 951]))).toBe(0)
    expect(uninterruptedMs(answersAt([0, 200, 2000, 2200]))).toBe(200)
  })

  it('starts anew when the clock of the store jumps, either way', () => {
    const before = answersAt([0, 200])
    expect(uninterruptedMs(hear(before, { heardAtMs: 400, storeNowMs: 1_000_200 + 5000 }, deadAfterMs))).toBe(0)
    expect(uninterruptedMs(hear(before, { heardAtMs: 400, storeNowMs: 1_000_100 }, deadAfterMs))).toBe(0)
  })

  it('starts anew when the store stood still while the judge went on', () => {
    const before = answersAt([0, 200])
    const after = hear(before, { heardAtMs: 951, storeNowMs: 1_000_210 }, deadAfterMs)
    expect(uninterruptedMs(after)).toBe(0)
  })
})
