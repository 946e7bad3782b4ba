/**
 * A prepared database: empty, migrated and closed, made once by the build and copied for each new cluster.
 *
 * Making one anew takes several seconds of work; a copy is the same bytes. It is used only when it was made by this very
 * version of PGlite with these very migrations; in any other case the database is made anew.
 */
import { createHash } from 'node:crypto'
import { copyFile, mkdir, open, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Migration } from './migrate.ts'

/** Fills an empty directory with a database; false when it cannot, and then the directory may hold anything. */
export type Template = (data: string) => Promise<boolean>

const NAME = 'ledger-template'
/** As built, and as run from the sources beside a build. */
const PLACES = [join('..', '..', NAME), join('..', '..', 'dist', NAME)].map((path) => join(import.meta.dirname, path))
/** Enough to keep the disk busy, few enough for any limit on open files. */
const FILES_AT_ONCE = 16

/** Differs whenever a database made now would differ from the template. */
export function templateKey(migrations: readonly Migration[]): string {
  const main = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  const { version } = JSON.parse(readFileSync(join(dirname(main), '..', 'package.json'), 'utf8')) as { version: string }
  return createHash('sha256')
    .update(JSON.stringify([version, migrations]))
    .digest('hex')
}

/** `make` leaves a closed database in the directory it is given. The key is written last: without it nothing counts. */
export async function makeTemplate(place: string, key: string, make: (ledger: string) => Promise<void>): Promise<void> {
  await rm(place, { recursive: true, force: true })
  await mkdir(place, { recursive: true })
  await make(place)
  await writeFile(join(place, 'key'), key)
}

/** The template with this key, wherever a build left it. */
export function builtTemplate(key: string, places: readonly string[] = PLACES): Template {
  return async (data) => {
    for (const place of places) {
      const found = await readFile(join(place, 'key'), 'utf8').catch(() => null)
      if (found === key) return copied(join(place, 'data'), data)
    }
    return false
  }
}

/** A build may take the template away while it is copied. */
async function copied(from: string, to: string): Promise<boolean> {
  try {
    await copyTree(from, to)
    return true
  } catch {
    return false
  }
}

/** Copies what is in a directory; resolves when all of it, names included, is on the disk. */
export async function copyTree(
  from: string,
  to: string,
  sync: (path: string) => Promise<void> = synced,
): Promise<void> {
  const entries = await readdir(from, { withFileTypes: true, recursive: true })
  const relative = entries.map((entry) => ({ entry, path: join(entry.parentPath, entry.name).slice(from.length + 1) }))
  const directories = relative.filter(({ entry }) => entry.isDirectory()).map(({ path }) => path)
  for (const path of directories.toSorted()) await mkdir(join(to, path), { mode: 0o700 })
  const files = relative.filter(({ entry }) => entry.isFile()).map(({ path }) => path)
  await eachOf(files, async (path) => {
    await copyFile(join(from, path), join(to, path))
    await sync(join(to, path))
  })
  await eachOf([...directories, ''], async (path) => sync(join(to, path)))
}

async function eachOf(paths: readonly string[], work: (path: string) => Promise<void>): Promise<void> {
  const left = paths.values()
  const worker = async (): Promise<void> => {
    for (const path of left) await work(path)
  }
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker))
}

async function synced(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
