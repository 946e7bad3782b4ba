import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from './migrate.ts'
import { MIGRATIONS } from './migrations/all.ts'
import { openPglite } from './pglite.ts'
import { builtTemplate, copyTree, makeTemplate, templateKey } from './template.ts'

let box: string
let place: string

beforeAll(async () => {
  box = await mkdtemp(join(tmpdir(), 'farebox-template-'))
  place = join(box, 'template')
  await makeTemplate(place, templateKey(MIGRATIONS), async (directory) => {
    const database = await openPglite(directory)
    await migrate(database, MIGRATIONS)
    await database.close()
  })
})
afterAll(() => rm(box, { recursive: true, force: true }))

async function migrationsIn(directory: string): Promise<unknown[]> {
  const template = builtTemplate(templateKey(MIGRATIONS), [join(box, 'nowhere'), place])
  const database = await openPglite(directory, { template })
  const found = await database.query('select number, name from ledger_migrations order by number')
  await database.close()
  return [...found]
}

describe('the template of a new ledger', () => {
  it('gives a database that is migrated already, and an old one is left as it is', async () => {
    const directory = join(box, 'new')
    const known = MIGRATIONS.map(({ number, name }) => ({ number, name }))
    expect(await migrationsIn(directory)).toEqual(known)
    const database = await openPglite(directory)
    await database.query('create table kept (id integer)')
    await database.close()
    await migrationsIn(directory)
    const again = await openPglite(directory)
    await expect(again.query('select * from kept')).resolves.toEqual([])
    await again.close()
  })

  it('is not used when it was made for other migrations', async () => {
    const [first] = MIGRATIONS
    if (first === undefined) throw new Error('there are no migrations')
    const other = templateKey([{ ...first, statements: [...first.statements, 'select 1'] }])
    expect(other).not.toBe(templateKey([first]))
    await mkdir(join(box, 'other'))
    expect(await builtTemplate(other, [place])(join(box, 'other'))).toBe(false)
    expect(readdirSync(join(box, 'other'))).toEqual([])
  })

  it('that is damaged costs time and nothing else: the database is made anew', async () => {
    const damaged = join(box, 'damaged')
    await mkdir(damaged)
    await writeFile(join(damaged, 'key'), 'k')
    const database = await openPglite(join(box, 'rescued'), { template: builtTemplate('k', [damaged]) })
    await expect(database.query('select 1 as one')).resolves.toEqual([{ one: 1 }])
    await database.close()
  })

  it('is on the disk, every file and every name, before it counts as copied', async () => {
    const to = join(box, 'copy')
    await mkdir(to)
    const synced = new Map<string, number>()
    await copyTree(join(place, 'data'), to, async (path) => {
      synced.set(path, (await stat(path)).size)
    })
    const names = readdirSync(to, { recursive: true, encoding: 'utf8' }).map((name) => join(to, name))
    expect([...synced.keys()].toSorted()).toEqual([to, ...names].toSorted())
    expect(existsSync(join(to, 'pg_wal', 'archive_status'))).toBe(true)
    for (const name of readdirSync(join(place, 'data', 'global'))) {
      const { size } = await stat(join(place, 'data', 'global', name))
      expect([name, synced.get(join(to, 'global', name))]).toEqual([name, size])
    }
  })

  it('is not there without its key, which is written last', async () => {
    const half = join(box, 'half')
    await expect(makeTemplate(half, 'key', () => Promise.reject(new Error('killed')))).rejects.toThrow('killed')
    await mkdir(join(box, 'none'))
    expect(await builtTemplate('key', [half])(join(box, 'none'))).toBe(false)
  })
})
