import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { identify } from '../../runtime/process-identity.ts'
import { claimDirectory } from './claim-directory.ts'

let box: string
let directory: string

beforeEach(async () => {
  box = await mkdtemp(join(tmpdir(), 'farebox-claim-'))
  directory = join(box, 'ledger')
})
afterEach(async () => rm(box, { recursive: true, force: true }))

async function writeClaim(pid: number, startTicks: number): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, `claim-${pid}-${startTicks}`), '')
}

describe('a directory', () => {
  it('is claimed once, in this process too, until it is released', async () => {
    const claim = await claimDirectory(directory)
    await expect(claimDirectory(directory)).rejects.toThrow('is open in this process already')
    await claim.release()
    await (await claimDirectory(directory)).release()
    expect(await readdir(directory)).toEqual([])
  })

  it('is refused while another living process has it, who keeps it', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    await once(other, 'spawn')
    const identity = identify(other.pid ?? 0)
    await writeClaim(identity?.pid ?? 0, identity?.startTicks ?? 0)
    await expect(claimDirectory(directory)).rejects.toThrow(`is in use by process ${other.pid}`)
    expect(await readdir(directory)).toEqual([`claim-${identity?.pid}-${identity?.startTicks}`])
    other.kill('SIGKILL')
    await once(other, 'exit')
    await (await claimDirectory(directory)).release()
  })

  it('is free when the claim names a pid that somebody else has now, be it this process', async () => {
    const self = identify(process.pid)
    const parent = identify(process.ppid)
    await writeClaim(self?.pid ?? 0, (self?.startTicks ?? 0) - 1)
    await writeClaim(parent?.pid ?? 0, (parent?.startTicks ?? 0) - 1)
    await (await claimDirectory(directory)).release()
    expect(await readdir(directory)).toEqual([])
  })
})
