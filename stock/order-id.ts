/**
 * Order ids: the same buyer, sale and Idempotency-Key give the same id on every node, and nobody can guess one.
 *
 * 130 bits of HMAC-SHA256 over the length-prefixed parts, keyed with the sale's own secret, in lower-case Crockford
 * base32. The fare and the quantity are not in it: the same key with another wish must be found as reused.
 *
 * The HMAC is RFC 2104's H(key ^ opad, H(key ^ ipad, text)) from two calls of the one-shot hash, as in
 * `http/hs256.ts`: the objects that `createHmac` makes per call were a tenth of what a purchase costs a node.
 */
import { hash } from 'node:crypto'
import { assert } from '../runtime/assert.ts'

const ALPHABET = Buffer.from('0123456789abcdefghjkmnpqrstvwxyz')
const ID_LENGTH = 26
const BITS_PER_CHARACTER = 5
const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
/** Sale, buyer and key at their longest, and their lengths. */
const MAX_MESSAGE_LENGTH = 256

/** Makes order ids of one sale. */
export type OrderIds = (saleId: string, buyer: string, key: string) => string

export function orderIds(secret: Buffer): OrderIds {
  assert(secret.length <= BLOCK_BYTES, 'the secret of order ids is longer than a block of SHA-256')
  const inner = padded(secret, 0x36, MAX_MESSAGE_LENGTH)
  const outer = padded(secret, 0x5c, DIGEST_BYTES)
  return (saleId, buyer, key) => {
    // All three are ASCII, so that characters are bytes.
    const message = `${saleId.length}:${saleId}${buyer.length}:${buyer}${key.length}:${key}`
    assert(message.length <= MAX_MESSAGE_LENGTH, 'sale, buyer or key is longer than it may be')
    inner.write(message, BLOCK_BYTES, 'latin1')
    outer.write(hash('sha256', inner.subarray(0, BLOCK_BYTES + message.length), 'binary'), BLOCK_BYTES, 'latin1')
    return base32(hash('sha256', outer, 'binary'))
  }
}

/** One block of key ^ pad, and room behind it. */
function padded(key: Buffer, pad: number, room: number): Buffer {
  const buffer = Buffer.alloc(BLOCK_BYTES + room, pad)
  for (const [index, byte] of key.entries()) buffer[index] = byte ^ pad
  return buffer
}

const id = Buffer.alloc(ID_LENGTH)

/** `bytes` as characters. Text made a character at a time would have to be put together again by whoever reads it. */
function base32(bytes: string): string {
  let bits = 0
  let window = 0
  let from = 0
  for (let at = 0; at < ID_LENGTH; at += 1) {
    if (bits < BITS_PER_CHARACTER) {
      window = ((window << 8) | bytes.charCodeAt(from)) & 0xffff
      from += 1
      bits += 8
    }
    bits -= BITS_PER_CHARACTER
    id[at] = ALPHABET[(window >>> bits) & 31] as number
  }
  return id.toString('latin1')
}
