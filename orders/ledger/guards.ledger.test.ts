/** What the database itself refuses, whoever asks, and what the ledger makes of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from './conformance/test-postgres.ts'
import type { Database } from './database.ts'
import type { Ledger } from './ledger.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/all.ts'
import { openLedger } from './open-ledger.ts'
import { heldOrder, heldOrders, saleOf } from './testing/orders.ts'

interface Opened {
  readonly ledger: Ledger
  readonly database: Database
}

let server: TestPostgres
let box: string
let opened: Record<'pglite' | 'postgres', Opened>

beforeAll(async () => {
  server = await startTestPostgres()
  box = await mkdtemp(join(tmpdir(), 'farebox-ledger-'))
  opened = {
    pglite: await openLedger(`pglite://${join(box, 'ledger')}`),
    postgres: await openLedger(await server.database()),
  }
})
afterAll(async () => {
  for (const { ledger } of Object.values(opened)) await ledger.close()
  await server.stop()
  await rm(box, { recursive: true, force: true })
})

const NOW_MS = 1_800_000_000_000
const ZERO = { era: 0, seq: 0 }

function insert(id: string, quantity: number): string {
  return `insert into orders
      (id, sale_id, fare_id, buyer, quantity, state, created_ms, hold_expires_ms, is_settled, position)
    values ('${id}', 'hand', 'second', 'eve', ${quantity}, 'held', 0, 0, true, 1000)`
}

describe.each(['pglite', 'postgres'] as const)('on %s', (kind) => {
  let ledger: Ledger
  let database: Database
  beforeAll(() => {
    ;({ ledger, database } = opened[kind])
  })

  it('a store that sold too many cannot make the ledger issue one ticket above the stock', async () => {
    await ledger.createSale(saleOf('many', 10))
    let after = ZERO
    const conflicts: string[] = []
    for (const first of [0, 7, 14]) {
      const upTo = { era: 1, seq: first + 7 }
      const orders = heldOrders('many', first, 7, NOW_MS + first)
      const taken = await ledger.take('many', { storeEra: 1, after, upTo, orders })
      if (taken.outcome === 'taken') conflicts.push(...taken.conflicts)
      after = upTo
    }
    expect(conflicts).toEqual(heldOrders('many', 10, 11, 0).map(({ id }) => id))
    expect((await ledger.sale('many'))?.fares).toEqual([{ fareId: 'second', stock: 10, held: 10, paid: 0 }])
    expect(await ledger.order(conflicts[0] ?? '')).toMatchObject({
      state: 'released',
      reason: 'conflict',
      isSettled: false,
    })
    expect((await ledger.unsettled('many', 100)).map(({ id }) => id)).toEqual(conflicts)
  })

  it('counters changed past the triggers stand beside what the rows sum to', async () => {
    await ledger.createSale(saleOf('past', 10))
    const paid = heldOrder('pastpaid', NOW_MS, { state: 'paid', paidAtMs: NOW_MS })
    await ledger.ensure('past', 1, [...heldOrders('past', 0, 4, NOW_MS), paid])
    const counted = { fareId: 'second', countedHeld: 4, countedPaid: 1 }
    expect(await ledger.recount('past')).toEqual([{ ...counted, held: 4, paid: 1 }])
    await database.query(`update fares set held = 3, paid = 2 where sale_id = 'past'`)
    expect(await ledger.recount('past')).toEqual([{ ...counted, held: 3, paid: 2 }])
    await database.transaction(async (transaction) => {
      await transaction.query(`set local session_replication_role = 'replica'`)
      await transaction.query(`delete from orders where id = 'pastpaid'`)
    })
    expect(await ledger.recount('past')).toEqual([{ ...counted, countedPaid: 0, held: 3, paid: 2 }])
    expect(await ledger.sums('past')).toEqual([{ fareId: 'second', held: 4, paid: 0 }])
  })

  it('lowering the stock stops at held + paid', async () => {
    await ledger.createSale(saleOf('lower', 10))
    await ledger.ensure('lower', 1, heldOrders('lower', 0, 4, NOW_MS))
    expect(await ledger.setStock('lower', 'second', 3)).toEqual({ outcome: 'below_held_and_paid' })
    expect(await ledger.setStock('lower', 'second', 4)).toEqual({ outcome: 'changed' })
  })

  describe('by hand', () => {
    beforeAll(async () => {
      await ledger.createSale(saleOf('hand', 5))
      await ledger.ensure('hand', 1, [
        ...heldOrders('hand', 0, 3, NOW_MS),
        heldOrder('handpaid', NOW_MS, { state: 'paid', paidAtMs: NOW_MS }),
        heldOrder('handback', NOW_MS, { state: 'released', reason: 'expired', releasedAtMs: NOW_MS }),
      ])
    })

    it.each([
      ['one above the stock', insert('more', 2), 'fares_never_oversold'],
      ['more than a buyer may have', insert('greed', 5), 'orders_quantity'],
      ['none', insert('none', 0), 'orders_quantity'],
      ['an order again', insert('hand00000000', 1), 'orders_pkey'],
      ['released to held', `update orders set state = 'held', reason = null where id = 'handback'`, 'orders_forward'],
      [
        'paid to expired',
        `update orders set state = 'released', reason = 'expired' where id = 'handpaid'`,
        'orders_forward',
      ],
      ['another reason', `update orders set reason = 'cancelled' where id = 'handback'`, 'orders_forward'],
      ['paid without a time', `update orders set state = 'paid' where id = 'hand00000000'`, 'orders_state'],
      ['another buyer', `update orders set buyer = 'eve' where id = 'handpaid'`, 'orders_identity'],
      ['more tickets', `update orders set quantity = 2 where id = 'handpaid'`, 'orders_identity'],
      ['deleting', `delete from orders where id = 'handpaid'`, 'orders_kept'],
      ['a counter above the stock', `update fares set held = held + 2 where sale_id = 'hand'`, 'fares_never_oversold'],
      ['a counter below zero', `update fares set paid = paid - 2 where sale_id = 'hand'`, 'fares_paid_check'],
      ['stock below what is sold', `update fares set stock = 3 where sale_id = 'hand'`, 'fares_never_oversold'],
    ])('%s is refused', async (_what, sql, constraint) => {
      await expect(database.query(sql)).rejects.toMatchObject({ outcome: 'refused', constraint })
      expect((await ledger.sale('hand'))?.fares).toEqual([{ fareId: 'second', stock: 5, held: 3, paid: 1 }])
    })
  })

  it('a ledger of a newer version is refused in words', async () => {
    await database.query(`insert into ledger_migrations (number, name) values (999, 'teleport')`)
    await expect(migrate(database, MIGRATIONS)).rejects.toThrow(/schema 999 \(teleport\).*start a newer version/)
    await database.query('delete from ledger_migrations where number = 999')
    await migrate(database, MIGRATIONS)
  })

  it('a migration that fails leaves nothing of itself', async () => {
    const number = MIGRATIONS.length + 1
    const broken = { number, name: 'broken', statements: ['create table half (id bigint)', 'select 1 / 0'] }
    await expect(migrate(database, [...MIGRATIONS, broken])).rejects.toMatchObject({ sqlState: '22012' })
    expect(await database.query(`select from pg_tables where tablename = 'half'`)).toEqual([])
    expect(await database.query('select from ledger_migrations where number = $1', [number])).toEqual([])
  })
})
