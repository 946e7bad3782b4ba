/** From a URL to a ledger that is ready: opened, and brought to this version's schema. */
import { resolve } from 'node:path'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/all.ts'
import { openPglite } from './pglite.ts'
import { SqlLedger } from './sql-ledger.ts'

const PGLITE = 'pglite://'

/** `pglite://DIR` with a path from the root or the working directory, or `postgres://…`. */
export async function openDatabase(url: string): Promise<Database> {
  if (url.startsWith(PGLITE)) return openPglite(resolve(url.slice(PGLITE.length)))
  throw new Error('ledger.url: allowed are pglite://DIR and postgres://…')
}

export async function openLedger(url: string): Promise<{ readonly ledger: SqlLedger; readonly database: Database }> {
  const database = await openDatabase(url)
  try {
    await migrate(database, MIGRATIONS)
  } catch (error) {
    await database.close()
    throw error
  }
  return { ledger: new SqlLedger(database), database }
}
