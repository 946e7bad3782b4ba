/**
 * PGlite's files in a directory, with an fsync that reaches the disk.
 *
 * PGlite starts PostgreSQL with fsync off, and its file system has no such call: a commit would survive the death of the
 * process, but not of the machine. With the call in place and fsync on, PostgreSQL itself syncs what it must, the log at
 * a commit and the data at a checkpoint.
 */
import { closeSync, fsyncSync } from 'node:fs'
import { NodeFS } from '@electric-sql/pglite/nodefs'
import type { PGlite } from '@electric-sql/pglite'

/** A file as Emscripten holds it; `nfd` is Node's descriptor. */
interface OpenFile {
  readonly nfd?: number
  readonly shared: { readonly refcount: number }
}

/** The parts of Emscripten's file system over Node that are touched here. */
export interface FileCalls {
  fsync?: (file: OpenFile) => number
  open: (file: OpenFile) => void
  close: (file: OpenFile) => void
  write: (file: OpenFile, buffer: Uint8Array, offset: number, length: number, position: number) => number
}

/** Number of errno, as WASI has it. */
const EIO = 29

/** `errorOf` makes the error that a call throws for a number of errno. */
export type Amend = (calls: FileCalls, errorOf: (errno: number) => Error) => void

type Init = NodeFS['init']

export class SyncedFiles extends NodeFS {
  readonly #open = new Set<OpenFile>()
  readonly #amend: Amend

  /** `amend` changes calls before anything is opened, to stand in for a disk that fails. */
  constructor(directory: string, amend: Amend = () => {}) {
    super(directory)
    this.#amend = amend
  }

  override async init(...[pg, options]: Parameters<Init>): ReturnType<Init> {
    const { emscriptenOpts } = await super.init(pg, options)
    const amend = (module: PGlite['Module']): void => this.#amendModule(module)
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), amend] } }
  }

  /** Closes the files of an instance that broke and cannot do so itself. */
  abandon(): void {
    for (const { nfd } of this.#open) if (nfd !== undefined) closeSync(nfd)
    this.#open.clear()
  }

  #amendModule(module: PGlite['Module']): void {
    const calls = (module.NODEFS as unknown as { readonly stream_ops: FileCalls }).stream_ops
    const { open, close } = calls
    const { ErrnoError } = module.FS as unknown as { readonly ErrnoError: new (errno: number) => Error }
    const errorOf = (errno: number): Error => new ErrnoError(errno)
    calls.fsync = ({ nfd }) => {
      try {
        if (nfd !== undefined) fsyncSync(nfd)
        return 0
      } catch {
        // Anything but an errno would go through WebAssembly as if it were its own, and leave it running in circles.
        throw errorOf(EIO)
      }
    }
    calls.open = (file) => {
      open(file)
      this.#open.add(file)
    }
    calls.close = (file) => {
      close(file)
      if (file.shared.refcount === 0) this.#open.delete(file)
    }
    this.#amend(calls, errorOf)
  }
}
