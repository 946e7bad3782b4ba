import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readIfThere, takeLock, writeAtomically } from './atomic-file.ts'
import { identify, isAlive, signalProcess } from '../runtime/process-identity.ts'
import { DeadlineError, waitFor } from './wait.ts'

let dir = ''
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'farebox-files-'))))
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('files', () => {
  it('are replaced whole, with their mode, and leave no draft', () => {
    const path = join(dir, 'a', 'b')
    expect(readIfThere(path)).toBeNull()
    writeAtomically(path, 'one', 0o600)
    writeAtomically(path, 'two', 0o600)
    expect(readIfThere(path)).toBe('two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(dir, 'a'))).toEqual(['b'])
  })
})

describe('a lock', () => {
  it('is held by one, named, and free again after release', () => {
    const path = join(dir, 'lock')
    const first = takeLock(path)
    expect(takeLock(path)).toEqual({ heldBy: identify(process.pid) })
    if ('release' in first) first.release()
    expect(takeLock(path)).toHaveProperty('release')
    expect(readdirSync(dir)).toEqual(['lock'])
  })

  it('of a dead holder, or of a pid used again, is taken over', () => {
    const path = join(dir, 'lock')
    for (const holder of [
      { pid: 2 ** 22 + 1, startTicks: 1 },
      { pid: process.pid, startTicks: 1 },
    ]) {
      writeFileSync(path, JSON.stringify(holder))
      const taken = takeLock(path)
      expect(taken).toHaveProperty('release')
      if ('release' in taken) taken.release()
    }
    expect(readdirSync(dir)).toEqual([])
  })
})

describe('a process', () => {
  it('is known by its start time as well, and only then signalled', async () => {
    const child = spawn('sleep', ['600'])
    const identity = identify(child.pid ?? 0)
    if (!identity) throw new Error('sleep did not start')
    const stranger = { ...identity, startTicks: identity.startTicks + 1 }
    expect([isAlive(identity), isAlive(stranger)]).toEqual([true, false])
    expect(signalProcess(stranger, 'SIGKILL')).toBe(false)
    expect(isAlive(identity)).toBe(true)
    expect(signalProcess(identity, 'SIGKILL')).toBe(true)
    await waitFor(() => !isAlive(identity), { deadlineMs: 2000, what: 'its end' })
    expect(identify(identity.pid)).toBeNull()
  })
})

describe('waiting', () => {
  it('ends at its deadline, or at once when given up', async () => {
    await expect(waitFor(() => false, { deadlineMs: 30, everyMs: 5, what: 'nothing' })).rejects.toThrow(DeadlineError)
    const signal = AbortSignal.abort(new Error('given up'))
    await expect(waitFor(() => false, { deadlineMs: 60_000, what: 'nothing', signal })).rejects.toThrow('given up')
  })
})
