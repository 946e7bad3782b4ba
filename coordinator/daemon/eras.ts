/**
 * The era book: numbers the certified lives of the store. An era is allotted once and never again, also after a
 * crash between allotting and using it, and also when several coordinators share the directory.
 *
 * The book is a directory with one empty file per era, named by its number. Making a file exclusively is the one
 * step that two processes cannot both win, so no lock is needed that a killed process could leave behind. It is on
 * disk before the number is used. Files are never removed: a removed one could be made again by a process that
 * looked before and acts after. Eras are few, one per sale made and per restart of the store.
 */
import { mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isCode, syncDirectory } from '../../runtime/durable-file.ts'

export interface EraBook {
  /** The highest era ever allotted here; 0 for none. */
  last(): Promise<number>
  /** A new era, higher than every one allotted here and than `above` (what the store itself knows). */
  allot(above?: number): Promise<number>
}

export async function openEraBook(clusterDirectory: string): Promise<EraBook> {
  const directory = join(clusterDirectory, 'eras')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await syncDirectory(clusterDirectory)

  async function last(): Promise<number> {
    const names = await readdir(directory)
    return Math.max(0, ...names.filter((name) => /^\d+$/.test(name)).map(Number))
  }

  async function allot(above = 0): Promise<number> {
    for (;;) {
      const era = Math.max(await last(), above) + 1
      if (await claim(directory, era)) return era
    }
  }

  return { last, allot }
}

/** False when the era is taken. */
async function claim(directory: string, era: number): Promise<boolean> {
  try {
    const file = await open(join(directory, String(era)), 'wx', 0o600)
    await file.sync()
    await file.close()
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
  await syncDirectory(directory)
  return true
}
