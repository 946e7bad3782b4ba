/**
 * Brings the database to the schema that this code knows, one numbered step after the other, each in a transaction of
 * its own. Several processes may start at once: a lock lets one go first, and the others find its work done.
 */
import type { Database } from './database.ts'

export interface Migration {
  /** From 1, without gaps, never changed once released. */
  readonly number: number
  readonly name: string
  /** One statement each. */
  readonly statements: readonly string[]
}

/** The database has been migrated by a newer version of the code, or is not ours. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/** Any number, the same in every version: the name of the lock. */
const LOCK = 4_713_105_817_734_201

export async function migrate(database: Database, migrations: readonly Migration[]): Promise<void> {
  checkNumbers(migrations)
  await database.transaction(async (transaction) => {
    await transaction.query('select pg_advisory_xact_lock($1::bigint)', [LOCK])
    await transaction.query(`create table if not exists ledger_migrations (
      number integer primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`)
  })
  await refuseNewer(database, migrations.length)
  for (const migration of migrations) await applyOnce(database, migration)
}

async function applyOnce(database: Database, { number, name, statements }: Migration): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query('select pg_advisory_xact_lock($1::bigint)', [LOCK])
    const [known] = await transaction.query<{ number: number }>(
      'select number from ledger_migrations where number = $1',
      [number],
    )
    if (known !== undefined) return
    for (const statement of statements) await transaction.query(statement)
    await transaction.query('insert into ledger_migrations (number, name) values ($1, $2)', [number, name])
  })
}

async function refuseNewer(database: Database, newest: number): Promise<void> {
  const [row] = await database.query<{ number: number; name: string }>(
    'select number, name from ledger_migrations order by number desc limit 1',
  )
  if (row === undefined || row.number <= newest) return
  throw new SchemaError(
    `the ledger has schema ${row.number} (${row.name}) and this version knows up to ${newest}: start a newer version`,
  )
}

function checkNumbers(migrations: readonly Migration[]): void {
  for (const [index, { number, name }] of migrations.entries()) {
    if (number !== index + 1) throw new SchemaError(`migration ${name} has number ${number}, expected ${index + 1}`)
  }
}
