import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { encodeBase32, ticketBody } from '../../orders/tickets/ticket-code.ts'
import { runCli } from './program.ts'

const directory = mkdtempSync(join(tmpdir(), 'farebox-ticket-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const kid = '00112233aabb'
const body = ticketBody({
  kid,
  saleId: 'demo',
  fareId: 'second',
  orderId: '0123456789abcdefghjkmnpqrs',
  seat: 1,
  issuedAtMs: 1_800_000_000_000,
})
const code = encodeBase32(Buffer.concat([body, sign(null, body, privateKey)]))
const keysFile = join(directory, 'keys.json')
const jwk = { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid, x: publicKey.export({ format: 'jwk' }).x }
writeFileSync(keysFile, JSON.stringify({ keys: [jwk] }))

async function verify(...args: string[]): Promise<{ exitCode: number; json: unknown }> {
  let stdout = ''
  const terminal = {
    stdout: (text: string) => void (stdout += text),
    stderr: () => {},
    interactive: false,
    colours: false,
  }
  const exitCode = await runCli(['ticket', 'verify', ...args, '--json', '--dir', directory], terminal)
  return { exitCode, json: JSON.parse(stdout) as unknown }
}

describe('ticket verify', () => {
  it('tells what a genuine ticket is for', async () => {
    expect(await verify(code, '--keys', keysFile)).toEqual({
      exitCode: 0,
      json: {
        valid: true,
        ticket: {
          kid,
          saleId: 'demo',
          fareId: 'second',
          orderId: '0123456789abcdefghjkmnpqrs',
          seat: 1,
          issuedAt: '2027-01-15T08:00:00.000Z',
        },
      },
    })
  })

  it('exits 1 and names why for one that is not', async () => {
    const other = code.slice(0, -1) + (code.endsWith('0') ? '1' : '0')
    const altered = await verify(
      `${code.slice(0, 30)}${code[30] === '7' ? '8' : '7'}${code.slice(31)}`,
      '--keys',
      keysFile,
    )
    expect(altered).toMatchObject({ exitCode: 1, json: { valid: false, reason: 'bad_signature' } })
    expect((await verify(other, '--keys', keysFile)).exitCode).toBe(1)
    expect(await verify('NONSENSE!', '--keys', keysFile)).toMatchObject({ exitCode: 1, json: { reason: 'malformed' } })
  })

  it('exits 2 for keys that cannot be read and 3 where there are none', async () => {
    expect((await verify(code, '--keys', join(directory, 'missing.json'))).exitCode).toBe(2)
    expect(await verify(code)).toMatchObject({ exitCode: 3, json: { error: { code: 'no_keys' } } })
  })
})
