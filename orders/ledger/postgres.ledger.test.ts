import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from './conformance/test-postgres.ts'
import type { Database } from './database.ts'
import { openPostgres } from './postgres.ts'

let server: TestPostgres
let database: Database

beforeAll(async () => {
  server = await startTestPostgres()
  database = await openPostgres(await server.database(), { connectionsMax: 4 })
  await database.query('create table notes (id bigint primary key, text text check (length(text) < 5))')
})
afterAll(async () => {
  await database.close()
  await server.stop()
})

async function noteIds(): Promise<number[]> {
  return (await database.query<{ id: number }>('select id from notes order by id')).map(({ id }) => id)
}

describe('statements', () => {
  it('take arrays and give whole numbers, null and text as they are', async () => {
    const values = ['plain', 'with "quotes", {braces} and \\', '', 'NULL', null, 'ümläut 票']
    const rows = await database.query<{ t: string | null; n: number; b: boolean }>(
      'select t, n, b from unnest($1::text[], $2::bigint[], $3::boolean[]) as u (t, n, b)',
      [values, values.map((_, index) => 2 ** 52 + index), values.map((_, index) => index % 2 === 0)],
    )
    expect(rows).toEqual(values.map((t, index) => ({ t, n: 2 ** 52 + index, b: index % 2 === 0 })))
  })

  it('are refused by constraint and by value, by name', async () => {
    await expect(database.query(`insert into notes values (1, 'too long')`)).rejects.toMatchObject({
      outcome: 'refused',
      sqlState: '23514',
      constraint: 'notes_text_check',
    })
    await expect(database.query('select $1::bigint', ['one'])).rejects.toMatchObject({ outcome: 'refused' })
  })

  it('are away when the server could not judge them: no such table, cancelled, timed out', async () => {
    await expect(database.query('select * from nowhere')).rejects.toMatchObject({ outcome: 'away', sqlState: '42P01' })
    const impatient = await openPostgres(await server.database(), { statementTimeoutMs: 50 })
    await expect(impatient.query('select pg_sleep(5)')).rejects.toMatchObject({ outcome: 'away', sqlState: '57014' })
    await impatient.close()
  })
})

describe('transactions', () => {
  it('keep nothing when the work throws, and pass on what it threw', async () => {
    const error = new Error('changed my mind')
    const work = database.transaction(async (transaction) => {
      await transaction.query(`insert into notes values (2, 'no')`)
      throw error
    })
    await expect(work).rejects.toBe(error)
    expect(await noteIds()).toEqual([])
  })

  it('are not committed when a refusal was swallowed', async () => {
    const work = database.transaction(async (transaction) => {
      await transaction.query(`insert into notes values (3, 'no')`)
      await transaction.query('select 1 / 0').catch(() => {})
    })
    await expect(work).rejects.toMatchObject({ outcome: 'away' })
    expect(await noteIds()).toEqual([])
  })

  it('never go on outside of themselves when their connection is lost between two statements', async () => {
    const work = database.transaction(async (transaction) => {
      const [row] = await transaction.query<{ pid: number }>('select pg_backend_pid() as pid')
      await transaction.query(`insert into notes values (4, 'no')`)
      await database.query('select pg_terminate_backend($1::integer)', [row?.pid ?? 0])
      // Until the server has closed it.
      while (
        (await database.query('select from pg_stat_activity where pid = $1::integer', [row?.pid ?? 0])).length > 0
      ) {
        await wait(5)
      }
      await transaction.query(`insert into notes values (5, 'no')`)
    })
    await expect(work).rejects.toMatchObject({ outcome: 'away' })
    expect(await noteIds()).toEqual([])
  })

  it('survive the death of the server: away while it is gone, as before when it is back', async () => {
    const work = database.transaction(async (transaction) => {
      await transaction.query(`insert into notes values (6, 'no')`)
      server.process().kill('SIGQUIT')
      await transaction.query('select pg_sleep(10)')
    })
    await expect(work).rejects.toMatchObject({ outcome: 'away' })
    await expect(database.query('select 1')).rejects.toMatchObject({ outcome: 'away' })
    await server.restart()
    const many = Array.from({ length: 20 }, async (_, index) =>
      database.transaction(async (transaction) => {
        await transaction.query('select pg_sleep(0.01)')
        await transaction.query('insert into notes values ($1, $2)', [100 + index, 'yes'])
      }),
    )
    await Promise.all(many)
    expect(await noteIds()).toHaveLength(20)
  })
})
