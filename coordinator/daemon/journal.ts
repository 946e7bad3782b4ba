/**
 * What happened, kept in the cluster's directory, one JSON line each.
 *
 * `audit-<coordinator>.jsonl` has every change that somebody asked for, with who, when, before and after. It is only
 * ever appended to and on disk before the answer leaves. `events-<coordinator>.jsonl` has what the coordinator saw and
 * did; it is bounded: when full it becomes `.1`, and what was there before is gone.
 *
 * Every coordinator writes files of its own, as with the marks; a reader merges them all by time.
 */
import { appendFile, open, readdir, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../runtime/log.ts'

export interface JournalEntry {
  /** Grows with time; of two coordinators' entries the ids tell the order by their clocks. */
  readonly id: string
  readonly at: string
  readonly coordinator: string
  /** `change`: somebody asked for it. Others: what the coordinator saw or did, by how bad it is. */
  readonly kind: 'change' | 'info' | 'warn' | 'error'
  readonly text: string
  readonly data: unknown
}

export interface Journal {
  readonly directory: string
  /** Appends to the audit log; resolves when it is on disk. */
  change(text: string, data: unknown): Promise<void>
  /** Appends to the events, some time soon. */
  event(kind: 'info' | 'warn' | 'error', text: string, data: unknown): void
  /** Resolves when every event is written. */
  flush(): Promise<void>
}

const EVENTS_BYTES_MAX = 2 * 1024 * 1024
/** A reader looks at no more of each file than this, from its end. */
const READ_BYTES_MAX = 4 * 1024 * 1024

export function openJournal(
  directory: string,
  coordinatorId: string,
  nowMs: () => number,
  eventsBytesMax = EVENTS_BYTES_MAX,
): Journal {
  const auditPath = join(directory, `audit-${coordinatorId}.jsonl`)
  const eventsPath = join(directory, `events-${coordinatorId}.jsonl`)
  let lastMs = 0
  let count = 0
  let writing: Promise<void> = Promise.resolve()

  function entry(kind: JournalEntry['kind'], text: string, data: unknown): JournalEntry {
    // Also when the clock steps back, ids of one coordinator only grow.
    lastMs = Math.max(lastMs, nowMs())
    count += 1
    const id = `${String(lastMs).padStart(15, '0')}-${coordinatorId}-${String(count).padStart(9, '0')}`
    return { id, at: new Date(lastMs).toISOString(), coordinator: coordinatorId, kind, text, data }
  }

  async function writeEvent(line: string): Promise<void> {
    await appendFile(eventsPath, line, { mode: 0o600 })
    const { size } = await stat(eventsPath)
    if (size > eventsBytesMax) await rename(eventsPath, `${eventsPath}.1`)
  }

  return {
    directory,
    async change(text, data) {
      const file = await open(auditPath, 'a', 0o600)
      try {
        await file.appendFile(`${JSON.stringify(entry('change', text, data))}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
    },
    event(kind, text, data) {
      const line = `${JSON.stringify(entry(kind, text, data))}\n`
      // A full disk must not stop a sale: an event that cannot be written is in the log of the process.
      writing = writing.then(() => writeEvent(line)).catch(() => undefined)
    },
    flush: () => writing,
  }
}

/** Of all coordinators, oldest first: those after the id, or the newest `limit`. */
export async function readJournal(
  directory: string,
  { after, limit }: { readonly after: string | null; readonly limit: number },
): Promise<JournalEntry[]> {
  const names = await readdir(directory)
  const files = names.filter((name) => /^(audit|events)-[a-z0-9-]+\.jsonl(\.1)?$/.test(name))
  const found = (await Promise.all(files.map((name) => tailOf(join(directory, name))))).flat()
  const sorted = found.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  return after === null ? sorted.slice(-limit) : sorted.filter(({ id }) => id > after).slice(0, limit)
}

async function tailOf(path: string): Promise<JournalEntry[]> {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return []
  try {
    const { size } = await file.stat()
    const length = Math.min(size, READ_BYTES_MAX)
    const buffer = Buffer.alloc(length)
    await file.read(buffer, 0, length, size - length)
    const lines = buffer.toString('utf8').split('\n')
    return lines.slice(size > length ? 1 : 0).flatMap(parseLine)
  } finally {
    await file.close()
  }
}

/** A line that a crash cut short says nothing. */
function parseLine(line: string): JournalEntry[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as JournalEntry]
  } catch {
    return []
  }
}

/** Every line of the coordinator's log is an event as well. */
export function journaled(log: Log, journal: Journal): Log {
  const both =
    (kind: 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      log[kind](fields, message)
      journal.event(kind, message, plain(fields))
    }
  return { info: both('info'), warn: both('warn'), error: both('error') }
}

/** An error has no members of its own that JSON would show. */
function plain(fields: object): object {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : (value as unknown)]),
  )
}
