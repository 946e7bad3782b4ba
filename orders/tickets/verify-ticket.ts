/** Checks a ticket without asking anybody: the code and the published keys are enough. */
import { createPublicKey, verify } from 'node:crypto'
import { readTicketCode, SIGNATURE_BYTES, type Ticket } from './ticket-code.ts'

/** A public key as `GET /api/keys` publishes it. */
export interface TicketJwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly alg: 'EdDSA'
  readonly use: 'sig'
  readonly kid: string
  /** 32 bytes, base64url. */
  readonly x: string
}

export interface TicketJwks {
  readonly keys: readonly TicketJwk[]
}

export type TicketVerdict =
  | { readonly outcome: 'genuine'; readonly ticket: Ticket }
  | {
      readonly outcome: 'malformed' | 'unknown_key' | 'bad_signature'
      readonly why: string
      /** What it claims, where it could be read: not to be believed. */
      readonly claimed: Ticket | null
    }

export function verifyTicket(code: string, { keys }: TicketJwks): TicketVerdict {
  const read = readTicketCode(code)
  if (read.outcome === 'malformed') return { outcome: 'malformed', why: read.why, claimed: null }
  const { ticket, body, signature } = read
  const key = keys.find(({ kid }) => kid === ticket.kid)
  if (key === undefined) {
    return { outcome: 'unknown_key', why: `its key ${ticket.kid} is none of the published ones`, claimed: ticket }
  }
  if (signature.length !== SIGNATURE_BYTES || !isSigned(body, signature, key)) {
    const why = `it was altered, or not signed with key ${ticket.kid}`
    return { outcome: 'bad_signature', why, claimed: ticket }
  }
  return { outcome: 'genuine', ticket }
}

function isSigned(body: Buffer, signature: Buffer, { kty, crv, x }: TicketJwk): boolean {
  return verify(null, body, createPublicKey({ key: { kty, crv, x }, format: 'jwk' }), signature)
}

/** A key set out of JSON that somebody wrote; null when it is none. */
export function readJwks(value: unknown): TicketJwks | null {
  const keys = (value as { readonly keys?: unknown } | null)?.keys
  if (!Array.isArray(keys)) return null
  const read = keys.filter(isTicketJwk)
  return read.length === 0 ? null : { keys: read }
}

function isTicketJwk(value: unknown): value is TicketJwk {
  const key = value as Partial<Record<keyof TicketJwk, unknown>> | null
  const isEd25519 = key?.kty === 'OKP' && key.crv === 'Ed25519'
  return isEd25519 && typeof key.kid === 'string' && typeof key.x === 'string' && /^[A-Za-z0-9_-]{43}$/.test(key.x)
}
