/**
 * The keys that sign tickets, in the ledger. A new key signs what is paid from now on; the old ones stay published for
 * ever, and an order's tickets keep the key with which they were first signed, so that they stay the same.
 */
import { createHash, generateKeyPairSync } from 'node:crypto'
import type { Clock } from '../../runtime/clock.ts'
import type { Database, Query } from '../ledger/database.ts'
import type { TicketJwk, TicketJwks } from './verify-ticket.ts'

export interface SigningKey {
  readonly kid: string
  /** PKCS #8. */
  readonly privateKeyPem: string
}

const KID_CHARACTERS = 12

export class TicketKeys {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  /** Makes the first key where there is none. */
  async ensure(): Promise<void> {
    await this.#database.transaction(async (transaction) => {
      await transaction.query('lock table ticket_keys in exclusive mode')
      const known = await transaction.query('select kid from ticket_keys limit 1')
      if (known.length === 0) await insertKey(transaction, this.#clock.nowMs())
    })
  }

  /** From now on another key signs. Returns its id. */
  async rotate(): Promise<string> {
    return insertKey(this.#database, this.#clock.nowMs())
  }

  /** Every key that ever signed, newest first. */
  async published(): Promise<TicketJwks> {
    const rows = await this.#database.query<{ kid: string; public_x: string }>(
      'select kid, public_x from ticket_keys order by place desc',
    )
    return {
      keys: rows.map(({ kid, public_x: x }): TicketJwk => {
        return { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid, x }
      }),
    }
  }

  /** The key of an order's tickets: that of the first time, or the newest if this is the first. */
  async keyOf(orderId: string): Promise<SigningKey> {
    const known = await this.#pinned(orderId)
    if (known !== null) return known
    await this.#database.query(
      `insert into ticket_issues (order_id, kid, issued_ms)
       select $1::text, kid, $2::bigint from ticket_keys order by place desc limit 1 on conflict (order_id) do nothing`,
      [orderId, this.#clock.nowMs()],
    )
    const pinned = await this.#pinned(orderId)
    if (pinned === null) throw new Error('there is no key to sign tickets with')
    return pinned
  }

  async #pinned(orderId: string): Promise<SigningKey | null> {
    const [row] = await this.#database.query<{ kid: string; private_pem: string }>(
      'select k.kid, k.private_pem from ticket_issues i join ticket_keys k on k.kid = i.kid where i.order_id = $1',
      [orderId],
    )
    return row === undefined ? null : { kid: row.kid, privateKeyPem: row.private_pem }
  }
}

async function insertKey(query: Query, nowMs: number): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const x = publicKey.export({ format: 'jwk' }).x ?? ''
  const kid = createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex').slice(0, KID_CHARACTERS)
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await query.query('insert into ticket_keys (kid, public_x, private_pem, created_ms) values ($1, $2, $3, $4)', [
    kid,
    x,
    pem,
    nowMs,
  ])
  return kid
}
