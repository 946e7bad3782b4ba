/**
 * Sorting more items than memory should hold: each goes into one of many holes by its key, and the holes are read back
 * one by one, each whole. Items of one key meet in one hole, so two crowds of any size are compared hole by hole.
 *
 * Few items stay in memory. Of many, what a hole has gathered goes to the end of a file in the system's temporary
 * directory. The file has no name any more when the first byte is written: whatever happens, nothing stays behind, and
 * nobody else can read it.
 */
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OperationError } from '../../runtime/operation-error.ts'

export const HOLES = 256
/** Characters that one hole gathers in memory. */
const GATHERED_MAX = 8 * 1024

/** How an item is written in one line. */
export interface Packing<T> {
  pack(item: T): readonly (string | number | boolean | null)[]
  unpack(fields: readonly unknown[]): T
}

interface Hole {
  lines: string[]
  characters: number
  /** Where in the file the earlier lines are. */
  readonly pieces: { readonly position: number; readonly length: number }[]
}

export class Pigeonholes<T> {
  readonly #packing: Packing<T>
  readonly #holes: readonly Hole[] = Array.from({ length: HOLES }, () => ({ lines: [], characters: 0, pieces: [] }))
  readonly #full = new Set<Hole>()
  #file: FileHandle | null = null
  #fileLength = 0
  #size = 0

  constructor(packing: Packing<T>) {
    this.#packing = packing
  }

  get size(): number {
    return this.#size
  }

  /** Bytes on disk. */
  get spilledBytes(): number {
    return this.#fileLength
  }

  /** After a page of these call {@link spill}: only that bounds the memory. */
  put(key: string, item: T): void {
    const hole = this.#holes[holeOf(key)]
    if (hole === undefined) throw new Error('no such hole')
    const line = JSON.stringify(this.#packing.pack(item))
    hole.lines.push(line)
    hole.characters += line.length
    this.#size += 1
    if (hole.characters > GATHERED_MAX) this.#full.add(hole)
  }

  async spill(): Promise<void> {
    if (this.#full.size === 0) return
    try {
      this.#file ??= await nameless()
      for (const hole of this.#full) {
        const bytes = Buffer.from(`${hole.lines.join('\n')}\n`)
        await writeWhole(this.#file, bytes, this.#fileLength)
        hole.pieces.push({ position: this.#fileLength, length: bytes.length })
        this.#fileLength += bytes.length
        hole.lines = []
        hole.characters = 0
      }
      this.#full.clear()
    } catch (error) {
      throw new OperationError(
        'no_room',
        `the records do not fit into ${tmpdir()}: ${error instanceof Error ? error.message : String(error)}; ` +
          'make room there, or name another directory by TMPDIR',
      )
    }
  }

  /** All of one hole, from 0 on up to {@link HOLES}, in the order in which they were put. */
  async read(index: number): Promise<T[]> {
    const hole = this.#holes[index]
    if (hole === undefined) return []
    const items: T[] = []
    for (const { position, length } of hole.pieces) {
      const text = await this.#readPiece(position, length)
      for (const line of text.split('\n')) if (line !== '') items.push(this.#unpack(line))
    }
    for (const line of hole.lines) items.push(this.#unpack(line))
    return items
  }

  async close(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }

  #unpack(line: string): T {
    return this.#packing.unpack(JSON.parse(line) as unknown[])
  }

  async #readPiece(position: number, length: number): Promise<string> {
    const bytes = Buffer.alloc(length)
    for (let read = 0; read < length;) {
      const { bytesRead } = (await this.#file?.read(bytes, read, length - read, position + read)) ?? { bytesRead: 0 }
      if (bytesRead === 0) throw new Error('the temporary file is shorter than what was written')
      read += bytesRead
    }
    return bytes.toString()
  }
}

async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten
  }
}

async function nameless(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), 'farebox-audit-'))
  try {
    return await open(join(directory, 'records'), 'wx+', 0o600)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** FNV-1a: spreads keys that somebody chose to be alike as well. */
function holeOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  return ((hash >>> 16) ^ hash) & (HOLES - 1)
}
