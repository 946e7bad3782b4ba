/**
 * Order ids: the same buyer, sale and Idempotency-Key give the same id on every node, and nobody can guess one.
 *
 * 130 bits of HMAC-SHA256 over the length-prefixed parts, keyed with the sale's own secret, in lower-case Crockford
 * base32. The fare and the quantity are not in it: the same key with another wish must be found as reused.
 */
import { createHmac } from 'node:crypto'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const ID_LENGTH = 26
const BITS_PER_CHARACTER = 5

export function orderId(secret: Buffer, saleId: string, buyer: string, key: string): string {
  // All three are ASCII, so that characters are bytes.
  const message = `${saleId.length}:${saleId}${buyer.length}:${buyer}${key.length}:${key}`
  return base32(createHmac('sha256', secret).update(message, 'latin1').digest())
}

function base32(bytes: Buffer): string {
  let text = ''
  let bits = 0
  let window = 0
  for (let i = 0; text.length < ID_LENGTH; i += 1) {
    window = (window << 8) | (bytes[i] ?? 0)
    bits += 8
    while (bits >= BITS_PER_CHARACTER && text.length < ID_LENGTH) {
      bits -= BITS_PER_CHARACTER
      text += ALPHABET[(window >>> bits) & 31]
    }
    window &= (1 << bits) - 1
  }
  return text
}
