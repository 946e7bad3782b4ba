/**
 * One process at a time owns a directory.
 *
 * Whoever wants it first writes a claim, a file that is named after the process, and then looks at the others' claims:
 * if one belongs to a living process, the claim is withdrawn. Of two that come at once at least one sees the other, so
 * never do both own it; at worst both are refused. A claim that a killed process left behind names a pid and a start time
 * that no process has any more. Nothing is ever taken over, so no interleaving of two takers can go wrong.
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { identify, isAlive, type ProcessIdentity } from '../../runtime/process-identity.ts'

const CLAIM = /^claim-(\d+)-(\d+)$/

export class DirectoryInUse extends Error {
  override readonly name = 'DirectoryInUse'
}

export interface Claim {
  release(): Promise<void>
}

/** Makes the directory where it is missing. Rejects with {@link DirectoryInUse}. */
export async function claimDirectory(directory: string): Promise<Claim> {
  const self = identify(process.pid)
  if (self === null) throw new Error('this process is not in /proc, so it cannot claim a directory')
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, claimName(self))
  await writeClaim(path, directory)
  try {
    await refuseOthers(directory, self)
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
  return { release: async () => rm(path, { force: true }) }
}

async function writeClaim(path: string, directory: string): Promise<void> {
  try {
    await (await open(path, 'wx')).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new DirectoryInUse(`${directory} is open in this process already`)
  }
}

async function refuseOthers(directory: string, self: ProcessIdentity): Promise<void> {
  for (const name of await readdir(directory)) {
    const owner = ownerOf(name)
    if (owner === null || owner.pid === self.pid) {
      // A former process with our pid is as dead as any.
      if (owner !== null && owner.startTicks !== self.startTicks) await rm(join(directory, name), { force: true })
      continue
    }
    if (isAlive(owner)) throw new DirectoryInUse(`${directory} is in use by process ${owner.pid}`)
    await rm(join(directory, name), { force: true })
  }
}

function claimName({ pid, startTicks }: ProcessIdentity): string {
  return `claim-${pid}-${startTicks}`
}

function ownerOf(name: string): ProcessIdentity | null {
  const match = CLAIM.exec(name)
  return match === null ? null : { pid: Number(match[1]), startTicks: Number(match[2]) }
}
