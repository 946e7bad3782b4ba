import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeBase32, readTicketCode, ticketBody, type Ticket } from './ticket-code.ts'
import { TicketPool, TicketPoolBusy } from './ticket-pool.ts'
import { readJwks, verifyTicket, type TicketJwk } from './verify-ticket.ts'

const ticket: Ticket = {
  kid: '0123456789ab',
  saleId: 'demo',
  fareId: 'second-class',
  orderId: '0123456789abcdefghjkmnpqrs',
  seat: 2,
  issuedAtMs: 1_800_000_000_000,
}

interface Signer {
  readonly jwk: TicketJwk
  readonly pem: string
}

function signer(kid: string): Signer {
  const { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('ed25519')
  const x = publicKey.export({ format: 'jwk' }).x ?? ''
  return {
    jwk: { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid, x },
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

const ours = signer(ticket.kid)
const keys = { keys: [ours.jwk, signer('ffffffffffff').jwk] }
const pool = new TicketPool()
afterAll(() => pool.close())

async function codeOf(one: Ticket, pem = ours.pem): Promise<string> {
  const [issued] = await pool.issue([ticketBody(one)], pem)
  return issued?.code ?? ''
}

describe('a ticket', () => {
  it('is verified with nothing but its code and the published keys', async () => {
    expect(verifyTicket(await codeOf(ticket), keys)).toEqual({ outcome: 'genuine', ticket })
  })

  it('has the same code every time, and another for each seat', async () => {
    expect(await codeOf(ticket)).toBe(await codeOf(ticket))
    expect(await codeOf({ ...ticket, seat: 3 })).not.toBe(await codeOf(ticket))
  })

  it('fits the alphanumeric mode of QR codes and survives being typed', async () => {
    const code = await codeOf(ticket)
    expect(code).toMatch(/^[0-9A-Z]{150,230}$/)
    const typed = code.toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l')
    expect(verifyTicket(typed, keys).outcome).toBe('genuine')
  })

  it('is drawn as SVG', async () => {
    const [issued] = await pool.issue([ticketBody(ticket)], ours.pem)
    expect(issued?.qrSvg).toMatch(/^<svg[^>]*viewBox[\s\S]*<\/svg>\s*$/)
  })

  it('carries ids of every length', async () => {
    for (const id of ['a', 'x'.repeat(32)]) {
      const one = { ...ticket, saleId: id, fareId: id, seat: 65_535 }
      expect(verifyTicket(await codeOf(one), keys)).toEqual({ outcome: 'genuine', ticket: one })
    }
  })
})

describe('a ticket that is not ours', () => {
  it('is refused when any character was changed', async () => {
    const code = await codeOf(ticket)
    for (let at = 0; at < code.length; at += 1) {
      const altered = code.slice(0, at) + (code[at] === '7' ? '8' : '7') + code.slice(at + 1)
      expect(verifyTicket(altered, keys).outcome, `character ${at}`).not.toBe('genuine')
    }
  })

  it('is refused when cut off or lengthened', async () => {
    const code = await codeOf(ticket)
    for (const wrong of [
      '',
      'A',
      code.slice(0, -1),
      code.slice(0, 40),
      `${code}0`,
      `${code}00000000`,
      code.repeat(3),
    ]) {
      expect(verifyTicket(wrong, keys).outcome).not.toBe('genuine')
    }
  })

  it('is refused when signed by somebody else under our key id', async () => {
    const verdict = verifyTicket(await codeOf(ticket, signer(ticket.kid).pem), keys)
    expect(verdict).toMatchObject({ outcome: 'bad_signature', claimed: { seat: 2 } })
  })

  it('is refused when its key was never published', async () => {
    expect(verifyTicket(await codeOf({ ...ticket, kid: 'aaaaaaaaaaaa' }), keys).outcome).toBe('unknown_key')
  })

  it('is refused when it is something else', () => {
    expect(verifyTicket('https://example.org', keys)).toMatchObject({ outcome: 'malformed' })
    expect(
      readTicketCode(encodeBase32(Buffer.from([2, ...ticketBody(ticket).subarray(1), ...Buffer.alloc(64)]))),
    ).toEqual({ outcome: 'malformed', why: 'its version 2 is not known here' })
  })
})

describe('the pool', () => {
  it('refuses beyond its bound instead of letting a line grow', async () => {
    const small = new TicketPool({ threads: 1, queueMax: 2 })
    const bodies = Array.from({ length: 20 }, () => ticketBody(ticket))
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => small.issue(bodies, ours.pem)))
    const refused = answers.filter((answer) => answer.status === 'rejected').map((answer): unknown => answer.reason)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.every((reason) => reason instanceof TicketPoolBusy)).toBe(true)
    expect(answers.filter((answer) => answer.status === 'fulfilled').length).toBeGreaterThan(0)
    await small.close()
  })
})

describe('published keys', () => {
  it('are read from JSON, and nothing else is', () => {
    expect(readJwks(JSON.parse(JSON.stringify(keys)))).toEqual(keys)
    for (const wrong of [null, 1, {}, { keys: [] }, { keys: [{ kty: 'RSA' }] }]) expect(readJwks(wrong)).toBeNull()
  })
})
