import { createHmac } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../runtime/random.ts'
import { hs256ShortCut } from './hs256.ts'

const SECRET = Buffer.from('a secret of thirty-two bytes, ok')
const PAYLOAD = { sub: 'alice', exp: 1_800_000_000, name: 'é' }
const shortCut = hs256ShortCut(SECRET)
const token = createSigner({ key: SECRET, algorithm: 'HS256', noTimestamp: true })(PAYLOAD)

describe('the short cut', () => {
  it('reads what fast-jwt signs', () => {
    expect(shortCut(token)).toEqual(PAYLOAD)
  })

  it.each([1, 31, 32, 63, 64, 65, 200])('computes the same as createHmac with a secret of %d bytes', (bytes) => {
    const random = seededRandom(bytes)
    const secret = Buffer.from(random.hex(bytes), 'hex')
    const ofSecret = hs256ShortCut(secret)
    for (let round = 0; round < 50; round += 1) {
      const payload = { sub: random.hex(1 + random.below(60)) }
      const input = `${token.split('.')[0]}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}`
      const signature = createHmac('sha256', secret).update(input).digest('base64url')
      expect(ofSecret(`${input}.${signature}`)).toEqual(payload)
    }
  })

  it('leaves a token alone that has characters which only look right in their last eight bits', () => {
    for (const place of [40, token.length - 1]) {
      const wide = String.fromCodePoint((token.codePointAt(place) ?? 0) + 0x100)
      expect(shortCut(token.slice(0, place) + wide + token.slice(place + 1))).toBeUndefined()
    }
  })

  it('leaves a token alone that is changed in any one character', () => {
    for (let index = 0; index < token.length; index += 1) {
      const other = token[index] === 'A' ? 'B' : 'A'
      expect(shortCut(token.slice(0, index) + other + token.slice(index + 1))).toBeUndefined()
    }
  })

  it('leaves other secrets, heads and shapes alone', () => {
    const [head = '', payload = '', signature = ''] = token.split('.')
    const others = [
      createSigner({ key: Buffer.from('another secret of thirty-two byte'), algorithm: 'HS256' })(PAYLOAD),
      createSigner({ key: SECRET, algorithm: 'HS512' })(PAYLOAD),
      createSigner({ key: SECRET, algorithm: 'HS256', header: { alg: 'HS256', crit: ['x'], x: 1 } })(PAYLOAD),
      `${head}.${payload}.`,
      `${head}.${payload}`,
      `${head}..${signature}`,
      `${head}.${payload}.x.${signature}`,
      `${token}=`,
      '',
      head,
      `${head}.`,
    ]
    for (const other of others) expect([other, shortCut(other)]).toEqual([other, undefined])
  })
})
