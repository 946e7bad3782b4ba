import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import { describe, expect, it } from 'vitest'
import { SteppedClock } from '../runtime/clock.ts'
import { seededRandom } from '../runtime/random.ts'
import { Identifier, type IdentityOptions } from './identity.ts'
import { tokenSigner } from './sign-token.ts'

const SECRET = 'sécret of more than thirty-two bytes'
const OPTIONS: IdentityOptions = { mode: 'token', secret: SECRET, publicKeyPems: [], issuer: null, audience: null }

function setUp(options: Partial<IdentityOptions> = {}) {
  const clock = new SteppedClock(1_800_000_000_000)
  const identifier = new Identifier({ ...OPTIONS, ...options }, clock, seededRandom(1))
  const sign = tokenSigner(SECRET, { issuer: null, audience: null })
  const bearer = (buyer: string, ttlMs = 60_000) => `Bearer ${sign(buyer, clock.nowMs() + ttlMs)}`
  return { clock, identifier, bearer, exp: clock.nowMs() / 1000 + 60 }
}

function claims(payload: Record<string, unknown>, key: string | Buffer = Buffer.from(SECRET)): string {
  return `Bearer ${createSigner({ key, algorithm: 'HS256', noTimestamp: true })(payload)}`
}

const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const pemOf = (key: KeyObject, type: 'spki' | 'pkcs8') => key.export({ type, format: 'pem' }).toString()

describe('a token', () => {
  it('names its buyer, the third time from memory', () => {
    const { identifier, bearer, clock } = setUp()
    const header = bearer('alice@example.com')
    const first = identifier.identify(header)
    expect(first).toEqual({ outcome: 'known', buyer: 'alice@example.com', expiresAtMs: clock.nowMs() + 65_000 })
    const second = identifier.identify(header)
    expect(second).toEqual(first)
    expect(identifier.identify(header)).toBe(second)
    expect(identifier.identifyToken(header.slice(7))).toBe(second)
  })

  it('expires with five seconds of leeway, also from memory', () => {
    const { identifier, bearer, clock } = setUp()
    const header = bearer('a', 1000)
    expect(identifier.identify(header).outcome).toBe('known')
    clock.advance(5999)
    expect(identifier.identify(header).outcome).toBe('known')
    expect(setUp().identifier.identify(bearer('b', -4000)).outcome).toBe('known')
    clock.advance(1)
    expect(identifier.identify(header)).toMatchObject({ outcome: 'refused', detail: 'the token has expired' })
    expect(identifier.identify(bearer('c', -5001)).outcome).toBe('refused')
  })

  it.each([
    ['no sub', {}],
    ['an empty sub', { sub: '' }],
    ['a sub of 129 characters', { sub: 'a'.repeat(129) }],
    ['a sub that is not ASCII', { sub: 'é' }],
    ['a sub with a line break', { sub: 'a\n' }],
    ['a sub that is a number', { sub: 5 }],
  ])('with %s is refused', (_name, payload) => {
    const { identifier, exp } = setUp()
    expect(identifier.identify(claims({ ...payload, exp })).outcome).toBe('refused')
  })

  it('needs exp, and honours nbf', () => {
    const { identifier, exp } = setUp()
    expect(identifier.identify(claims({ sub: 'a' })).outcome).toBe('refused')
    expect(identifier.identify(claims({ sub: 'a', exp, nbf: exp - 50 })).outcome).toBe('refused')
    expect(identifier.identify(claims({ sub: 'a', exp, nbf: exp - 56 })).outcome).toBe('known')
  })

  it('that is unsigned, signed otherwise, or changed is refused', () => {
    const { identifier, bearer, exp } = setUp()
    const none = `${base64({ alg: 'none', typ: 'JWT' })}.${base64({ sub: 'a', exp })}.`
    const [head, , signature] = bearer('alice').slice(7).split('.')
    const changed = `${head}.${base64({ sub: 'mallory', exp })}.${signature}`
    const hs512 = createSigner({ key: Buffer.from(SECRET), algorithm: 'HS512' })({ sub: 'a', exp })
    // Alice's token is in the cache, and the changed one ends in the same signature.
    expect(identifier.identify(bearer('alice')).outcome).toBe('known')
    const refused = [`Bearer ${none}`, `Bearer ${none}x`, `Bearer ${changed}`, `Bearer ${hs512}`]
    refused.push(claims({ sub: 'a', exp }, Buffer.from('another secret of thirty-two bytes')))
    refused.push('Bearer', 'Bearer a.b', 'Bearer a.b.c', `Basic ${head}`, head ?? '', 'Bearer a b')
    refused.push(claims({ sub: 'a', exp, padding: 'p'.repeat(4096) }))
    for (const header of refused) expect([header, identifier.identify(header).outcome]).toEqual([header, 'refused'])
  })

  it('is checked for issuer and audience only when configured', () => {
    const strict = setUp({ issuer: 'login', audience: 'farebox' })
    const { exp } = strict
    const outcome = (payload: Record<string, unknown>) =>
      strict.identifier.identify(claims({ sub: 'a', exp, ...payload })).outcome
    expect(outcome({ iss: 'login', aud: 'farebox' })).toBe('known')
    expect(outcome({ iss: 'login', aud: ['other', 'farebox'] })).toBe('known')
    expect(outcome({ iss: 'login' })).toBe('refused')
    expect(outcome({ aud: 'farebox' })).toBe('refused')
    expect(outcome({ iss: 'evil', aud: 'farebox' })).toBe('refused')
    expect(setUp().identifier.identify(claims({ sub: 'a', exp, iss: 'any' })).outcome).toBe('known')
    const signed = tokenSigner(SECRET, { issuer: 'login', audience: 'farebox' })('bob', exp * 1000)
    expect(strict.identifier.identifyToken(signed)).toMatchObject({ buyer: 'bob' })
  })

  it('may be signed with Ed25519 or P-256, and a public key never counts as an HMAC secret', () => {
    const ed = generateKeyPairSync('ed25519')
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const publicKeyPems = [pemOf(ed.publicKey, 'spki'), pemOf(ec.publicKey, 'spki')]
    const { identifier, exp, bearer } = setUp({ secret: null, publicKeyPems })
    const sign = (algorithm: 'EdDSA' | 'ES256', key: KeyObject) =>
      `Bearer ${createSigner({ algorithm, key: pemOf(key, 'pkcs8') })({ sub: algorithm, exp })}`
    expect(identifier.identify(sign('EdDSA', ed.privateKey))).toMatchObject({ buyer: 'EdDSA' })
    expect(identifier.identify(sign('ES256', ec.privateKey))).toMatchObject({ buyer: 'ES256' })
    expect(identifier.identify(sign('EdDSA', generateKeyPairSync('ed25519').privateKey)).outcome).toBe('refused')
    expect(identifier.identify(bearer('a')).outcome).toBe('refused')
    const head = `${base64({ alg: 'HS256' })}.${base64({ sub: 'a', exp })}`
    expect(identifier.identify(`Bearer ${head}.${base64('x')}`).outcome).toBe('refused')
  })

  it('is remembered within a bound, those in use first', () => {
    const { identifier, bearer } = setUp({ cacheSize: 2 })
    const twice = (header: string) => (identifier.identify(header), identifier.identify(header))
    const used = bearer('used')
    const first = twice(used)
    const idle = bearer('idle')
    const idleFirst = twice(idle)
    for (const buyer of 'abcdefghijkl') {
      twice(bearer(buyer))
      expect(identifier.identify(used)).toBe(first)
    }
    expect(identifier.identify(idle)).not.toBe(idleFirst)
    expect(identifier.identify(idle)).toEqual(idleFirst)
  })
})

describe('without a token', () => {
  it('nobody is known in token mode', () => {
    expect(setUp().identifier.identify('')).toEqual({ outcome: 'missing' })
  })

  it('everybody is new in anonymous mode; a valid token is honoured, a bad one refused', () => {
    const { identifier, bearer } = setUp({ mode: 'anonymous' })
    const buyers = [identifier.identify(''), identifier.identify('')].map((identity) =>
      identity.outcome === 'anonymous' ? identity.buyer : identity.outcome,
    )
    for (const buyer of buyers) expect(buyer).toMatch(/^anon-[0-9a-f]{20}-[0-9a-z]+$/)
    expect(new Set(buyers).size).toBe(2)
    expect(identifier.identify(bearer('alice'))).toMatchObject({ outcome: 'known', buyer: 'alice' })
    expect(identifier.identify('Bearer x.y.z').outcome).toBe('refused')
    expect(setUp({ mode: 'anonymous', secret: null }).identifier.identify(bearer('a')).outcome).toBe('refused')
  })
})
