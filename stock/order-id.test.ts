import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { orderIds } from './order-id.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** The definition, slowly: the first 130 bits of the HMAC, five at a time. */
function byDefinition(secret: Buffer, message: string): string {
  const digest = createHmac('sha256', secret).update(message).digest()
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return Array.from({ length: 26 }, (_, n) => ALPHABET[Number.parseInt(bits.slice(n * 5, n * 5 + 5), 2)]).join('')
}

describe('order ids', () => {
  it('are 130 bits of HMAC-SHA256 over the length-prefixed parts', () => {
    for (const secret of [Buffer.alloc(32, 7), Buffer.from('00ff'.repeat(16), 'hex'), Buffer.alloc(64, 0xaa)]) {
      const make = orderIds(secret)
      expect(make('g1', 'alice', 'key-00000001')).toBe(byDefinition(secret, '2:g15:alice12:key-00000001'))
      const longest = [`s${'x'.repeat(31)}`, '~'.repeat(128), 'K'.repeat(64)] as const
      expect(make(...longest)).toBe(byDefinition(secret, `32:${longest[0]}128:${longest[1]}64:${longest[2]}`))
      // A longer message before leaves nothing behind.
      expect(make('g1', 'alice', 'key-00000001')).toBe(byDefinition(secret, '2:g15:alice12:key-00000001'))
    }
  })

  it('keep the parts apart', () => {
    const make = orderIds(Buffer.alloc(32, 1))
    expect(make('g', '1alice', 'key-00000001')).not.toBe(make('g1', 'alice', 'key-00000001'))
  })
})
