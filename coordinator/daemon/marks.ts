/**
 * High-water marks: for each sale the highest (era, seq) that a coordinator has seen, kept outside the store, so
 * that a store which comes back with less is recognised.
 *
 * A mark also says whether, as far as this coordinator saw, the store kept every acknowledged write (`durable`):
 * only then is "not behind the mark" evidence that nothing was lost between the last mark and the store's death.
 *
 * Every coordinator keeps its own file, `marks-<id>.json`; reading merges all of them by the highest version, so a
 * coordinator that takes over knows what the one before had seen and none overwrites another's.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { compareVersions, type Version } from '../../stock/core/words.ts'
import { readIfThere, replaceFile } from '../../runtime/durable-file.ts'

export interface Mark {
  readonly era: number
  readonly seq: number
  /** AOF with fsync always was on when this was seen. */
  readonly durable: boolean
  readonly fingerprint: string
}

export type Marks = ReadonlyMap<string, Mark>

export interface MarkBook {
  /** Remembers what was seen; a version lower than known is ignored. In memory until {@link flush}. */
  note(saleId: string, version: Version, store: { readonly durable: boolean; readonly fingerprint: string }): void
  get(saleId: string): Mark | null
  saleIds(): readonly string[]
  /** Takes in what other coordinators wrote. */
  refresh(): Promise<void>
  /** Writes to disk what was noted since; returns when it is there. */
  flush(): Promise<void>
}

export async function openMarkBook(directory: string, coordinatorId: string): Promise<MarkBook> {
  const path = join(directory, `marks-${coordinatorId}.json`)
  const marks = new Map<string, Mark>()
  let dirty = false
  let writing: Promise<void> = Promise.resolve()

  async function write(): Promise<void> {
    if (!dirty) return
    dirty = false
    try {
      await replaceFile(path, textOf(marks))
    } catch (error) {
      dirty = true
      throw error
    }
  }

  const book: MarkBook = {
    note(saleId, version, store) {
      const known = marks.get(saleId)
      const mark = { era: version.era, seq: version.seq, durable: store.durable, fingerprint: store.fingerprint }
      if (known !== undefined && !isNewer(mark, known)) return
      marks.set(saleId, mark)
      dirty = true
    },
    get: (saleId) => marks.get(saleId) ?? null,
    saleIds: () => [...marks.keys()],
    async refresh() {
      for (const [saleId, mark] of await readMarks(directory)) {
        const known = marks.get(saleId)
        if (known === undefined || compareVersions(mark, known) > 0) marks.set(saleId, mark)
      }
    },
    flush() {
      const written = writing.then(write)
      writing = written.catch(() => {})
      return written
    },
  }
  await book.refresh()
  return book
}

/** The same version seen again may only change what is known about durability. */
function isNewer(mark: Mark, known: Mark): boolean {
  const order = compareVersions(mark, known)
  return order > 0 || (order === 0 && (mark.durable !== known.durable || mark.fingerprint !== known.fingerprint))
}

/** All marks in the directory, the highest of each sale. */
export async function readMarks(directory: string): Promise<Marks> {
  const merged = new Map<string, Mark>()
  const names = await readdir(directory)
  for (const name of names.filter((candidate) => /^marks-.+\.json$/.test(candidate))) {
    const text = await readIfThere(join(directory, name))
    if (text === null) continue
    for (const [saleId, mark] of parseMarks(text, name)) {
      const known = merged.get(saleId)
      if (known === undefined || compareVersions(mark, known) > 0) merged.set(saleId, mark)
    }
  }
  return merged
}

function textOf(marks: Marks): string {
  return `${JSON.stringify({ format: 1, sales: Object.fromEntries(marks) }, null, 2)}\n`
}

function parseMarks(text: string, name: string): [string, Mark][] {
  const broken = (): Error =>
    new Error(`${name} is not a file of marks: restore it, or remove it and decide by "farebox sale recover"`)
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    throw broken()
  }
  if (!isRecord(document) || document['format'] !== 1 || !isRecord(document['sales'])) throw broken()
  return Object.entries(document['sales']).map(([saleId, mark]) => {
    if (!isMark(mark)) throw broken()
    return [saleId, mark]
  })
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isMark(value: unknown): value is Mark {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value['era']) &&
    Number.isSafeInteger(value['seq']) &&
    typeof value['durable'] === 'boolean' &&
    typeof value['fingerprint'] === 'string'
  )
}
