import { describe, expect, it } from 'vitest'
import { checkWebhookSignature, signWebhook } from './webhook-signature.ts'

const SECRET = 'a secret that the provider and we share'
const NOW_MS = 1_800_000_000_000
const WINDOW_MS = 300_000
const body = Buffer.from('{"id":"evt_1"}')
const signed = signWebhook(SECRET, body, NOW_MS)

const check = (header: string, sent = body, nowMs = NOW_MS): string =>
  checkWebhookSignature(SECRET, sent, header, nowMs, WINDOW_MS)

describe('the signature of a webhook', () => {
  it('is believed over the very bytes that were signed, within the window', () => {
    expect(check(signed)).toBe('genuine')
    expect(check(signed, body, NOW_MS + WINDOW_MS)).toBe('genuine')
    expect(check(signed, body, NOW_MS - WINDOW_MS)).toBe('genuine')
  })

  it('is not believed over another body', () => {
    expect(check(signed, Buffer.from('{"id":"evt_2"}'))).toBe('bad_signature')
    expect(check(signed, Buffer.from('{"id": "evt_1"}'))).toBe('bad_signature')
  })

  it('is not believed with another secret', () => {
    expect(check(signWebhook('another secret', body, NOW_MS))).toBe('bad_signature')
  })

  it('is not believed with another time than was signed', () => {
    const later = signed.replace(/t=\d+/, `t=${NOW_MS / 1000 + 60}`)
    expect(check(later)).toBe('bad_signature')
  })

  it('grows stale, in both directions', () => {
    expect(check(signed, body, NOW_MS + WINDOW_MS + 1)).toBe('stale_timestamp')
    expect(check(signed, body, NOW_MS - WINDOW_MS - 1000)).toBe('stale_timestamp')
  })

  it('may be one of several while a secret is exchanged', () => {
    const other = signWebhook('the secret before', body, NOW_MS).split(',')[1]
    const [time, mac] = signed.split(',')
    expect(check(`${time},${other},${mac}`)).toBe('genuine')
  })

  it.each(['', 't=', 'v1=', 't=1', `t=x,v1=${'0'.repeat(64)}`, 't=1,v1=abc', signed.slice(0, -1), '=,=', ',,,,'])(
    'is not believed in the form %j',
    (header) => expect(check(header)).toBe('bad_signature'),
  )
})
