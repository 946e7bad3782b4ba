/**
 * Does a commit of this database mean that it is on disk? PostgreSQL says so of itself, embedded or a server.
 *
 * `synchronous_commit` off is not found here: `postgres.ts` puts it right in each session, and `pglite.ts`, which turns it
 * off itself, flushes before it answers. What its replicas have is PostgreSQL's own matter.
 */
import type { Database } from './database.ts'

const NEEDED = ['fsync', 'full_page_writes']

/** What falls short, setting and value; empty when all is well. */
export async function ledgerFaults(database: Pick<Database, 'kind' | 'query'>): Promise<readonly string[]> {
  const rows = await database.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings
      where (name = any($1::text[]) and setting <> 'on') or ($2 and name = 'synchronous_commit' and setting = 'off')
      order by name`,
    [NEEDED, database.kind === 'postgres'],
  )
  return rows.map(({ name, setting }) => `${name} is ${setting}`)
}
