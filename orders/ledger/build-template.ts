/** Run by the build: makes the template of a new ledger in the directory given, unless an equal one is in the second. */
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/all.ts'
import { openPglite } from './pglite.ts'
import { makeTemplate, templateKey } from './template.ts'

const [place = '', former = ''] = process.argv.slice(2)
const key = templateKey(MIGRATIONS)
const known = await readFile(join(former, 'key'), 'utf8').catch(() => null)
// Another build may take the former one away meanwhile.
const isCopied =
  known === key &&
  (await cp(former, place, { recursive: true }).then(
    () => true,
    () => false,
  ))
if (!isCopied) await makeTemplate(place, key, makeLedger)

async function makeLedger(directory: string): Promise<void> {
  const database = await openPglite(directory)
  await migrate(database, MIGRATIONS)
  await database.close()
}
