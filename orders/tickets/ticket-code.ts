/**
 * The code on a ticket: a small binary body and an Ed25519 signature over it, as upper-case Crockford base32.
 *
 * Base32, because a QR code packs upper-case letters and digits at 5.5 bits each (base64url needs 8), and because it
 * survives shells, URLs, and being read out over a telephone: O is read as 0, I and L as 1. docs/tickets.md gives the
 * layout. The buyer is not in it: whoever carries the ticket may use it, and a photograph tells no name.
 */
import { assert } from '../../runtime/assert.ts'

/** What a ticket says. */
export interface Ticket {
  /** The key that signed it, as in `GET /api/keys`. */
  readonly kid: string
  readonly saleId: string
  readonly fareId: string
  readonly orderId: string
  /** From 1 to the order's quantity. */
  readonly seat: number
  /** When the order was paid, in whole seconds. */
  readonly issuedAtMs: number
}

export type ReadTicket =
  | { readonly outcome: 'read'; readonly ticket: Ticket; readonly body: Buffer; readonly signature: Buffer }
  | { readonly outcome: 'malformed'; readonly why: string }

export const SIGNATURE_BYTES = 64
const VERSION = 1
const KID_BYTES = 6
const ORDER_BYTES = 17
const ORDER_CHARACTERS = 26
/** Version, key, time, seat, order, and the two lengths. */
const FIXED_BYTES = 1 + KID_BYTES + 4 + 2 + ORDER_BYTES + 2
const LAST_SEAT = 0xffff
const LAST_SECOND = 0xffff_ffff

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const VALUES = new Map(Array.from(ALPHABET, (character, value) => [character, value]))
const READ_AS = new Map([
  ['O', '0'],
  ['I', '1'],
  ['L', '1'],
])
/** 32 + 32 characters of ids at most. */
const CODE_LENGTH_MAX = 320

/** The bytes that are signed. */
export function ticketBody(ticket: Ticket): Buffer {
  const { kid, saleId, fareId, orderId, seat } = ticket
  const seconds = Math.floor(ticket.issuedAtMs / 1000)
  assert(/^[0-9a-f]{12}$/.test(kid), () => `key id ${kid} is not 12 hex digits`)
  assert(seat >= 1 && seat <= LAST_SEAT, () => `seat ${seat} does not fit a ticket`)
  assert(seconds >= 0 && seconds <= LAST_SECOND, () => `time ${seconds} does not fit a ticket`)
  const body = Buffer.alloc(FIXED_BYTES + saleId.length + fareId.length)
  let at = body.writeUInt8(VERSION, 0)
  at += body.write(kid, at, 'hex')
  at = body.writeUInt32BE(seconds, at)
  at = body.writeUInt16BE(seat, at)
  at += orderBytes(orderId).copy(body, at)
  for (const id of [saleId, fareId]) {
    at = body.writeUInt8(id.length, at)
    at += body.write(id, at, 'latin1')
  }
  return body
}

/** Takes a code apart; says nothing about its signature. */
export function readTicketCode(code: string): ReadTicket {
  const bytes = code.length <= CODE_LENGTH_MAX ? decodeBase32(code) : null
  if (bytes === null) return { outcome: 'malformed', why: 'it is not a ticket code: other characters, or cut off' }
  if (bytes[0] !== VERSION) return { outcome: 'malformed', why: `its version ${bytes[0] ?? 'none'} is not known here` }
  const body = bytes.subarray(0, Math.max(0, bytes.length - SIGNATURE_BYTES))
  const ticket = readBody(body)
  if (ticket === null) return { outcome: 'malformed', why: 'its length does not fit its contents' }
  return { outcome: 'read', ticket, body, signature: bytes.subarray(body.length) }
}

function readBody(body: Buffer): Ticket | null {
  const saleAt = FIXED_BYTES - 1
  const saleLength = body[FIXED_BYTES - 2]
  if (saleLength === undefined) return null
  const fareLength = body[saleAt + saleLength]
  if (fareLength === undefined || body.length !== FIXED_BYTES + saleLength + fareLength) return null
  const orderAt = 1 + KID_BYTES + 4 + 2
  return {
    kid: body.toString('hex', 1, 1 + KID_BYTES),
    issuedAtMs: body.readUInt32BE(1 + KID_BYTES) * 1000,
    seat: body.readUInt16BE(1 + KID_BYTES + 4),
    orderId: encodeBase32(body.subarray(orderAt, orderAt + ORDER_BYTES))
      .slice(0, ORDER_CHARACTERS)
      .toLowerCase(),
    saleId: body.toString('latin1', saleAt, saleAt + saleLength),
    fareId: body.toString('latin1', saleAt + saleLength + 1),
  }
}

/** 130 bits, and six that are zero. */
function orderBytes(orderId: string): Buffer {
  assert(orderId.length === ORDER_CHARACTERS, () => `order id ${orderId} is not ${ORDER_CHARACTERS} characters`)
  const bytes = decodeBase32(`${orderId}00`)
  assert(bytes !== null, () => `order id ${orderId} is not base32`)
  return bytes.subarray(0, ORDER_BYTES)
}

export function encodeBase32(bytes: Uint8Array): string {
  let text = ''
  let window = 0
  let bits = 0
  for (const byte of bytes) {
    window = (window << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET[(window >>> bits) & 31]
    }
    window &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + ALPHABET[(window << (5 - bits)) & 31]
}

/** Null for anything that {@link encodeBase32} cannot have written, apart from case and look-alikes. */
function decodeBase32(text: string): Buffer | null {
  const bytes: number[] = []
  let window = 0
  let bits = 0
  for (const character of text.toUpperCase()) {
    const value = VALUES.get(READ_AS.get(character) ?? character)
    if (value === undefined) return null
    window = (window << 5) | value
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes.push((window >>> bits) & 255)
    window &= (1 << bits) - 1
  }
  // What is left over must be less than a character, and zero: one ticket, one code.
  return bits < 5 && window === 0 ? Buffer.from(bytes) : null
}
