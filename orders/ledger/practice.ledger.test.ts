import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Database } from './database.ts'
import { openLedger } from './open-ledger.ts'
import { startPractice } from './practice.ts'
import type { SqlLedger } from './sql-ledger.ts'
import { heldOrders, saleOf } from './testing/orders.ts'

let box: string
let database: Database
let ledger: SqlLedger
/** Batches of each practice that ended well. */
const told: unknown[] = []
const log = {
  info: (fields: unknown) => void told.push(fields),
  warn: (fields: unknown) => void told.push(fields),
}

beforeAll(async () => {
  box = await mkdtemp(join(tmpdir(), 'farebox-practice-'))
  ;({ database, ledger } = await openLedger(`pglite://${join(box, 'ledger')}`))
})
afterAll(async () => {
  await database.close()
  await rm(box, { recursive: true, force: true })
})

/** Every table with its rows, told apart by what they say. */
async function everything(): Promise<readonly unknown[]> {
  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
  )
  expect(tables.length).toBeGreaterThan(3)
  return Promise.all(tables.map(({ name }) => database.query(`select * from "${name}" order by 1`)))
}

it('takes orders again and again and leaves nothing behind, nor bothers those of a real sale meanwhile', async () => {
  const before = await everything()
  const practice = startPractice(database, 'o1', () => 0, log)
  await practice.done
  expect(told).toEqual([{ batches: 30 }])
  expect(await everything()).toEqual(before)

  await ledger.createSale(saleOf('real', 5))
  const again = startPractice(database, 'o1', () => 0, log)
  const orders = heldOrders('real', 1, 5, Date.now())
  const batch = { storeEra: 1, after: { era: 0, seq: 0 }, upTo: { era: 1, seq: 5 }, orders }
  expect(await ledger.take('real', batch)).toMatchObject({ outcome: 'taken', inserted: 5 })
  await again.done
  expect(told).toEqual([{ batches: 30 }, { batches: 30 }])
  expect(await ledger.recount('real')).toMatchObject([{ held: 5, countedHeld: 5 }])
})

it('ends when told to, and where real orders were practice enough', async () => {
  told.length = 0
  await startPractice(database, 'o1', () => 0, log).stop()
  await startPractice(database, 'o1', () => 1000, log).done
  expect(told).toEqual([{ batches: 0 }, { batches: 0 }])
})
