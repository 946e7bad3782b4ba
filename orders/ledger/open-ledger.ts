/** From a URL to a ledger that is ready: opened, and brought to this version's schema. */
import { resolve } from 'node:path'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/all.ts'
import { openPglite } from './pglite.ts'
import { openPostgres, type PostgresOptions } from './postgres.ts'
import { SqlLedger } from './sql-ledger.ts'
import { builtTemplate, templateKey } from './template.ts'

const PGLITE = 'pglite://'
const POSTGRES = /^postgres(ql)?:\/\//

/** `pglite://DIR` with a path from the root or the working directory, or `postgres://…`. */
export async function openDatabase(url: string, options: PostgresOptions = {}): Promise<Database> {
  if (url.startsWith(PGLITE)) {
    return openPglite(resolve(url.slice(PGLITE.length)), { template: builtTemplate(templateKey(MIGRATIONS)) })
  }
  if (POSTGRES.test(url)) return openPostgres(url, options)
  throw new Error('ledger.url: allowed are pglite://DIR and postgres://…')
}

export async function openLedger(
  url: string,
  options: PostgresOptions = {},
): Promise<{ readonly ledger: SqlLedger; readonly database: Database }> {
  const database = await openDatabase(url, options)
  try {
    await migrate(database, MIGRATIONS)
  } catch (error) {
    await database.close()
    throw error
  }
  return { ledger: new SqlLedger(database), database }
}
