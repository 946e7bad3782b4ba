/**
 * A short cut for the one kind of token that a rush consists of: HS256 under the header that nearly every signer writes.
 *
 * fast-jwt takes 7.7 microseconds for a token that it sees first, more than all else that a purchase costs a node; this
 * takes about a third of it. It only ever says yes: to a token whose header is exactly the known text and whose
 * signature is right. Everything else is left to fast-jwt, which knows why it refuses.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'

/** `{"alg":"HS256","typ":"JWT"}` */
const USUAL_HEAD = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.'
const SIGNATURE_LENGTH = 43

/** Makes a function that returns the payload of a token that is certainly right, and undefined for all others. */
export function hs256ShortCut(secret: Buffer): (token: string) => unknown {
  const key = createSecretKey(secret)
  const expected = Buffer.alloc(SIGNATURE_LENGTH)
  const given = Buffer.alloc(SIGNATURE_LENGTH)
  return (token) => {
    const signatureAt = token.length - SIGNATURE_LENGTH
    const payloadEnd = signatureAt - 1
    if (!token.startsWith(USUAL_HEAD) || token.indexOf('.', USUAL_HEAD.length) !== payloadEnd) return undefined
    expected.write(createHmac('sha256', key).update(token.slice(0, payloadEnd)).digest('base64url'), 'latin1')
    given.write(token.slice(signatureAt), 'latin1')
    if (!timingSafeEqual(expected, given)) return undefined
    try {
      return JSON.parse(Buffer.from(token.slice(USUAL_HEAD.length, payloadEnd), 'base64url').toString()) as unknown
    } catch {
      return undefined
    }
  }
}
