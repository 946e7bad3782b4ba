import { describe, expect, it } from 'vitest'
import { SeenTokens } from './seen-tokens.ts'

/** Kept when it has come twice. */
const twice = <T>(seen: SeenTokens<T>, text: string, value: T): void => {
  seen.see(text, value)
  seen.see(text, value)
}

/** All end alike, so they share one place of any table. */
const token = (name: string): string => `Bearer ${name}.the-same-end`

describe('tokens seen before', () => {
  it('are found by their whole text, and by nothing less', () => {
    const seen = new SeenTokens<string>(100)
    twice(seen, token('ann'), 'ann')
    expect(seen.get(token('ann'))).toBe('ann')
    expect(seen.get(token('bob'))).toBeUndefined()
    expect(seen.get('')).toBeUndefined()
    expect(seen.get('short')).toBeUndefined()
  })

  it('are only noted when they come first', () => {
    const seen = new SeenTokens<string>(100)
    seen.see(token('ann'), 'ann')
    expect(seen.get(token('ann'))).toBeUndefined()
    seen.see(token('ann'), 'ann')
    expect(seen.get(token('ann'))).toBe('ann')
  })

  it('make room for others where they meet, those in use last', () => {
    const seen = new SeenTokens<string>(1000)
    twice(seen, token('used'), 'used')
    twice(seen, token('idle'), 'idle')
    for (const name of 'abcdefghijkl') {
      twice(seen, token(name), name)
      expect(seen.get(token('used'))).toBe('used')
      expect(seen.get(token(name))).toBe(name)
    }
    expect(seen.get(token('idle'))).toBeUndefined()
    expect(seen.get(token('a'))).toBeUndefined()
  })

  it('are nearly all kept while there is room for three times as many', () => {
    const seen = new SeenTokens<number>(3000)
    const tokens = Array.from({ length: 1000 }, (_, n) => `Bearer head.payload.${Math.imul(n + 1, 0x9e3779b1)}`)
    for (const [n, text] of tokens.entries()) twice(seen, text, n)
    expect(tokens.filter((text, n) => seen.get(text) === n).length).toBeGreaterThan(990)
  })

  it('are never more than the table has room for', () => {
    const seen = new SeenTokens<number>(8)
    const tokens = Array.from({ length: 1000 }, (_, n) => `Bearer head.payload.signature-${n}`)
    for (const [n, text] of tokens.entries()) twice(seen, text, n)
    expect(tokens.filter((text) => seen.get(text) !== undefined)).toHaveLength(8)
  })
})
