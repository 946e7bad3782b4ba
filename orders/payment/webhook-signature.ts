/**
 * Signatures of webhooks: `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 over `SECONDS.BODY` with a shared secret.
 *
 * The time is inside what is signed, so that a webhook that somebody recorded is worth nothing after the window. A
 * header may carry several `v1` (a secret being exchanged for another); one that fits is enough.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'

export const SIGNATURE_HEADER = 'farebox-signature'

export type SignatureVerdict = 'genuine' | 'bad_signature' | 'stale_timestamp'

const TIME = /^\d{1,12}$/
const MAC = /^[0-9a-f]{64}$/
/** More signatures in one header than a change of secrets needs would only cost time. */
const MACS_MAX = 4

export function signWebhook(secret: string, body: string | Buffer, atMs: number): string {
  const seconds = String(Math.floor(atMs / 1000))
  return `t=${seconds},v1=${macOf(secret, seconds, body).toString('hex')}`
}

/** The signature is judged before the time: an unsigned time says nothing. */
export function checkWebhookSignature(
  secret: string,
  body: Buffer,
  header: string,
  nowMs: number,
  windowMs: number,
): SignatureVerdict {
  const parts = header.split(',').map((part) => part.trim().split('='))
  const seconds = parts.find(([name]) => name === 't')?.[1] ?? ''
  const macs = parts.flatMap(([name, value = '']) => (name === 'v1' && MAC.test(value) ? [value] : []))
  if (!TIME.test(seconds)) return 'bad_signature'
  const expected = macOf(secret, seconds, body)
  const isGenuine = macs.slice(0, MACS_MAX).some((mac) => timingSafeEqual(Buffer.from(mac, 'hex'), expected))
  if (!isGenuine) return 'bad_signature'
  return Math.abs(nowMs - Number(seconds) * 1000) <= windowMs ? 'genuine' : 'stale_timestamp'
}

function macOf(secret: string, seconds: string, body: string | Buffer): Buffer {
  return createHmac('sha256', secret).update(`${seconds}.`).update(body).digest()
}
