/**
 * Who is asking: turns an Authorization header into a buyer.
 *
 * A token is checked when it comes first, and once more when it comes again; afterwards it costs one look into a table
 * and a comparison of its expiry.
 */
import { createPublicKey } from 'node:crypto'
import { createVerifier } from 'fast-jwt'
import type { Clock } from '../runtime/clock.ts'
import type { Random } from '../runtime/random.ts'
import { hs256ShortCut } from './hs256.ts'
import { SeenTokens } from './seen-tokens.ts'

export interface IdentityOptions {
  readonly mode: 'token' | 'anonymous'
  /** HS256; its UTF-8 bytes are the key. */
  readonly secret: string | null
  /** Ed25519 (EdDSA) and P-256 (ES256) public keys in PEM. */
  readonly publicKeyPems: readonly string[]
  /** Checked only when not null. */
  readonly issuer: string | null
  readonly audience: string | null
  /** Tokens to be remembered, at most about twice as many. Default 100,000. */
  readonly cacheSize?: number
}

export type Identity =
  | { readonly outcome: 'known'; readonly buyer: string; readonly expiresAtMs: number }
  /** Anonymous mode, no token: a buyer of its own, seen this once. */
  | { readonly outcome: 'anonymous'; readonly buyer: string }
  | { readonly outcome: 'missing' }
  | { readonly outcome: 'refused'; readonly detail: string }

type Known = Extract<Identity, { outcome: 'known' }>

const LEEWAY_MS = 5000
const BUYER = /^[\x20-\x7e]{1,128}$/
const BEARER = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i
/** Of the header; also bounds what is remembered of it. */
const MAX_LENGTH = 4096
const DEFAULT_CACHE_SIZE = 100_000

const MISSING: Identity = { outcome: 'missing' }
const NOT_BEARER: Identity = { outcome: 'refused', detail: 'the Authorization header is not of the form Bearer TOKEN' }
const BAD_TOKEN: Identity = { outcome: 'refused', detail: 'the token is not signed by a key that is known here' }
const BAD_CLAIMS: Identity = { outcome: 'refused', detail: 'the token is not meant for this service' }
const NO_SUBJECT: Identity = { outcome: 'refused', detail: 'sub must be 1 to 128 printable ASCII characters' }
const NO_EXPIRY: Identity = { outcome: 'refused', detail: 'exp is missing or not a number' }
const NOT_YET: Identity = { outcome: 'refused', detail: 'the token is not valid yet' }
const EXPIRED: Identity = { outcome: 'refused', detail: 'the token has expired' }

type Verify = (token: string) => unknown

export class Identifier {
  readonly #clock: Clock
  readonly #anonymous: boolean
  readonly #verifiers: readonly Verify[]
  readonly #anonymousPrefix: string
  #anonymousCount = 0
  readonly #seen: SeenTokens<Known>

  constructor(options: IdentityOptions, clock: Clock, random: Random) {
    this.#clock = clock
    this.#anonymous = options.mode === 'anonymous'
    this.#verifiers = createVerifiers(options)
    this.#seen = new SeenTokens(options.cacheSize ?? DEFAULT_CACHE_SIZE)
    this.#anonymousPrefix = `anon-${random.hex(10)}-`
  }

  /** `authorization` is the header as it came, empty text where there is none. */
  identify(authorization: string): Identity {
    if (authorization === '') return this.#anonymous ? this.#newBuyer() : MISSING
    const known = this.#seen.get(authorization)
    if (known === undefined) return this.#check(authorization)
    return known.expiresAtMs > this.#clock.nowMs() ? known : EXPIRED
  }

  /** The same for a token alone, as it comes over a WebSocket. */
  identifyToken(token: string): Identity {
    return token === '' ? MISSING : this.identify(`Bearer ${token}`)
  }

  #newBuyer(): Identity {
    this.#anonymousCount += 1
    return { outcome: 'anonymous', buyer: this.#anonymousPrefix + this.#anonymousCount.toString(36) }
  }

  #check(authorization: string): Identity {
    if (authorization.length > MAX_LENGTH) return NOT_BEARER
    const token = BEARER.exec(authorization)?.[1]
    if (token === undefined) return NOT_BEARER
    let refused = BAD_TOKEN
    for (const verify of this.#verifiers) {
      try {
        const identity = judgeClaims(verify(token), this.#clock.nowMs())
        if (identity.outcome === 'known') this.#seen.see(authorization, identity)
        return identity
      } catch (error) {
        if (isClaimError(error)) refused = BAD_CLAIMS
      }
    }
    return refused
  }
}

function createVerifiers(options: IdentityOptions): Verify[] {
  const { issuer, audience } = options
  const claims = {
    // Judged here, by our clock and with our leeway.
    ignoreExpiration: true,
    ignoreNotBefore: true,
    requiredClaims: [...(issuer === null ? [] : ['iss']), ...(audience === null ? [] : ['aud'])],
    ...(issuer === null ? {} : { allowedIss: issuer }),
    ...(audience === null ? {} : { allowedAud: audience }),
  }
  const verifiers: Verify[] = []
  if (options.secret !== null) {
    const key = Buffer.from(options.secret, 'utf8')
    const verify = createVerifier({ ...claims, key, algorithms: ['HS256'] }) as Verify
    const shortCut = hs256ShortCut(key)
    // The short cut does not look at iss and aud.
    verifiers.push(issuer === null && audience === null ? (token) => shortCut(token) ?? verify(token) : verify)
  }
  for (const pem of options.publicKeyPems) {
    const algorithm = createPublicKey(pem).asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'ES256'
    verifiers.push(createVerifier({ ...claims, key: pem, algorithms: [algorithm] }))
  }
  return verifiers
}

function judgeClaims(payload: unknown, nowMs: number): Identity {
  const claims = (typeof payload === 'object' && payload !== null ? payload : {}) as {
    readonly sub?: unknown
    readonly exp?: unknown
    readonly nbf?: unknown
  }
  if (typeof claims.sub !== 'string' || !BUYER.test(claims.sub)) return NO_SUBJECT
  if (typeof claims.exp !== 'number' || !Number.isFinite(claims.exp)) return NO_EXPIRY
  if (typeof claims.nbf === 'number' && claims.nbf * 1000 > nowMs + LEEWAY_MS) return NOT_YET
  const expiresAtMs = claims.exp * 1000 + LEEWAY_MS
  if (expiresAtMs <= nowMs) return EXPIRED
  return { outcome: 'known', buyer: claims.sub, expiresAtMs }
}

function isClaimError(error: unknown): boolean {
  const code = (error as { readonly code?: unknown }).code
  return typeof code === 'string' && (code.includes('CLAIM') || code.includes('INVALID_PAYLOAD'))
}
