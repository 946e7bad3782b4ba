/** A disk of a test's own, small enough to be filled: mounted in memory, which takes root. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly path: string
  /** To the last byte. */
  fill(): void
  /** What {@link fill} took is free again. */
  empty(): void
  unmount(): void
}

export function mountSmallDisk(megabytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'farebox-disk-'))
  const filler = join(path, 'filler')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'farebox-test', path], { stdio: 'pipe' })
  } catch (cause) {
    rmSync(path, { recursive: true })
    throw new Error('this test fills a disk of its own and needs the right to mount one: run it as root', { cause })
  }
  return {
    path,
    fill: () => fillUp(filler),
    empty: () => rmSync(filler, { force: true }),
    unmount() {
      execFileSync('umount', [path])
      rmSync(path, { recursive: true })
    },
  }
}

function fillUp(path: string): void {
  const file = openSync(path, 'w')
  for (let size = 1 << 20; size >= 1;) {
    try {
      // A file system with room for a part writes that part.
      writeSync(file, Buffer.alloc(size))
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error
      size >>= 4
    }
  }
  closeSync(file)
}
