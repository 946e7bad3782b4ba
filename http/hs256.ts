/**
 * A short cut for the one kind of token that a rush consists of: HS256 under the header that nearly every signer writes.
 *
 * Checking a token that is seen first is the largest thing that a purchase costs a node, and this takes less than half
 * of fast-jwt's time. It only ever says yes: to a token whose header is exactly the known text and whose signature is
 * right. Everything else is left to fast-jwt, which knows why it refuses.
 *
 * The signature is HMAC as RFC 2104 defines it, H(key ^ opad, H(key ^ ipad, text)), from two calls of the one-shot
 * hash: `createHmac` makes an object per call, which costs twice as much.
 */
import { hash, timingSafeEqual } from 'node:crypto'

/** `{"alg":"HS256","typ":"JWT"}` */
const USUAL_HEAD = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.'
const SIGNATURE_LENGTH = 43
const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
const MAX_TOKEN_LENGTH = 4096

/** Makes a function that returns the payload of a token that is certainly right, and undefined for all others. */
export function hs256ShortCut(secret: Buffer): (token: string) => unknown {
  const key = secret.length > BLOCK_BYTES ? Buffer.from(hash('sha256', secret, 'hex'), 'hex') : secret
  const inner = padded(key, 0x36, MAX_TOKEN_LENGTH)
  const outer = padded(key, 0x5c, DIGEST_BYTES)
  const payload = Buffer.alloc(MAX_TOKEN_LENGTH)
  const expected = Buffer.alloc(SIGNATURE_LENGTH)
  const given = Buffer.alloc(SIGNATURE_LENGTH)
  return (token) => {
    const signatureAt = token.length - SIGNATURE_LENGTH
    const payloadEnd = signatureAt - 1
    if (token.length > MAX_TOKEN_LENGTH || !token.startsWith(USUAL_HEAD)) return undefined
    if (token.indexOf('.', USUAL_HEAD.length) !== payloadEnd) return undefined
    // More bytes than characters: not ASCII, and no token.
    if (inner.write(token, BLOCK_BYTES, 'utf8') !== token.length) return undefined
    outer.write(hash('sha256', inner.subarray(0, BLOCK_BYTES + payloadEnd), 'binary'), BLOCK_BYTES, 'latin1')
    expected.write(hash('sha256', outer, 'base64url'), 'latin1')
    given.write(token.slice(signatureAt), 'latin1')
    if (!timingSafeEqual(expected, given)) return undefined
    try {
      const length = payload.write(token.slice(USUAL_HEAD.length, payloadEnd), 'base64url')
      return JSON.parse(payload.toString('utf8', 0, length)) as unknown
    } catch {
      return undefined
    }
  }
}

/** One block of key ^ pad, and room behind it. */
function padded(key: Buffer, pad: number, room: number): Buffer {
  const buffer = Buffer.alloc(BLOCK_BYTES + room, pad)
  for (const [index, byte] of key.entries()) buffer[index] = byte ^ pad
  return buffer
}
