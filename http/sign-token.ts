import { createSigner } from 'fast-jwt'

export interface TokenClaims {
  readonly issuer: string | null
  readonly audience: string | null
}

/** Makes a function that makes HS256 tokens: `farebox token`, tests, load generators. */
export function tokenSigner(secret: string, claims: TokenClaims): (buyer: string, expiresAtMs: number) => string {
  const sign = createSigner({ key: Buffer.from(secret, 'utf8'), algorithm: 'HS256', noTimestamp: true })
  const fixed = {
    ...(claims.issuer === null ? {} : { iss: claims.issuer }),
    ...(claims.audience === null ? {} : { aud: claims.audience }),
  }
  return (buyer, expiresAtMs) => sign({ sub: buyer, exp: Math.floor(expiresAtMs / 1000), ...fixed })
}
