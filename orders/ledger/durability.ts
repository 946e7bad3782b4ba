/**
 * Does a commit of this database mean that it is on disk? PostgreSQL says so of itself, embedded or a server.
 *
 * `synchronous_commit` off is not found here: `postgres.ts` puts it right in each session. What its replicas have is
 * PostgreSQL's own matter.
 */
import type { Query } from './database.ts'

const NEEDED = ['fsync', 'full_page_writes']

/** What falls short, setting and value; empty when all is well. */
export async function ledgerFaults(database: Query): Promise<readonly string[]> {
  const rows = await database.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings
      where (name = any($1::text[]) and setting <> 'on') or (name = 'synchronous_commit' and setting = 'off')
      order by name`,
    [NEEDED],
  )
  return rows.map(({ name, setting }) => `${name} is ${setting}`)
}
