/** The file of ready requests: every one of a distinct buyer, with a real token and a key of its own. */
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { tokenSigner } from '../../http/sign-token.ts'

export const SALE = 'bench'
export const FARE = 'a'
/** Sixteen characters, as real ids of accounts are long. */
export const buyerAt = (index: number): string => `buyer-${String(index).padStart(10, '0')}`
export const keyAt = (index: number): string => `key-${String(index).padStart(16, '0')}`

const TTL_MS = 24 * 3_600_000

export interface RequestFile {
  readonly path: string
  readonly recordBytes: number
  readonly count: number
}

export function requestText(token: string, key: string, fare = FARE): string {
  const body = '{"quantity":1}'
  return [
    `POST /api/sales/${SALE}/fares/${fare}/orders HTTP/1.1`,
    'Host: farebox.test',
    `Authorization: Bearer ${token}`,
    `Idempotency-Key: ${key}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n')
}

/** Ids of fares must be of one length. */
export async function writeRequests(
  path: string,
  secret: string,
  count: number,
  fareOf: (index: number) => string = () => FARE,
): Promise<RequestFile> {
  const sign = tokenSigner(secret, { issuer: null, audience: null })
  const expiresAtMs = Date.now() + TTL_MS
  const out = createWriteStream(path, { highWaterMark: 1 << 20 })
  const recordBytes = requestText(sign(buyerAt(0), expiresAtMs), keyAt(0), fareOf(0)).length
  for (let index = 0; index < count;) {
    let block = ''
    for (let n = 0; n < 1000 && index < count; n += 1, index += 1) {
      const text = requestText(sign(buyerAt(index), expiresAtMs), keyAt(index), fareOf(index))
      if (text.length !== recordBytes) throw new Error(`request ${index} has another length than the first`)
      block += text
    }
    if (!out.write(block, 'latin1')) await once(out, 'drain')
  }
  out.end()
  await once(out, 'close')
  return { path, recordBytes, count }
}
