/** Files that are either the old or the new, never half, and a lock that a dead holder does not keep. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { identify, isAlive } from '../runtime/process-identity.ts'
import type { ProcessIdentity } from '../runtime/process-identity.ts'

let written = 0

export function writeAtomically(path: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true })
  const draft = writeDraft(path, text, mode)
  renameSync(draft, path)
}

/** Null when there is no such file. */
export function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/**
 * Takes the lock file, or returns who holds it. The file names its holder by pid and start time, so that a holder
 * that was killed holds nothing.
 */
export function takeLock(path: string): { readonly release: () => void } | { readonly heldBy: ProcessIdentity } {
  mkdirSync(dirname(path), { recursive: true })
  const me = identify(process.pid)
  const draft = writeDraft(path, JSON.stringify(me), 0o644)
  try {
    for (;;) {
      if (link(draft, path)) return { release: () => rmSync(path, { force: true }) }
      const found = readIfThere(path)
      if (found === null) continue
      const holder = JSON.parse(found) as ProcessIdentity
      if (isAlive(holder)) return { heldBy: holder }
      removeStale(path, found)
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/**
 * 1. A and B both find the lock of a dead holder.
 * 2. A removes it and takes the lock.
 * 3. B must not remove A's. So the stale file is moved away first, and put back if it turns out to be another.
 */
function removeStale(path: string, expected: string): void {
  const aside = `${path}.${process.pid}.${++written}.stale`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  if (readIfThere(aside) !== expected) link(aside, path)
  rmSync(aside, { force: true })
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function writeDraft(path: string, text: string, mode: number): string {
  const draft = `${path}.${process.pid}.${++written}.draft`
  const file = openSync(draft, 'w', mode)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return draft
}
