import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SteppedClock } from '../../runtime/clock.ts'
import type { Database } from './database.ts'
import { openPglite } from './pglite.ts'
import type { FileCalls } from './synced-files.ts'

/** Numbers of errno, as WASI has them. */
const ENOSPC = 51
const EIO = 29

let box: string
let database: Database
const clock = new SteppedClock()
/** What the disk does now. */
let disk: { readonly syncs: number; readonly fault: 'none' | 'full' | 'broken' }

beforeAll(async () => {
  box = await mkdtemp(join(tmpdir(), 'farebox-ledger-'))
  disk = { syncs: 0, fault: 'none' }
  database = await openPglite(join(box, 'ledger'), { clock, amend: amendDisk })
  await database.query('create table notes (id bigint primary key, text text check (length(text) < 100000))')
})
afterAll(async () => {
  await database.close()
  await rm(box, { recursive: true, force: true })
})
beforeEach(() => {
  disk = { syncs: 0, fault: 'none' }
})

function amendDisk(calls: FileCalls, errorOf: (errno: number) => Error): void {
  const { fsync, write } = calls
  calls.fsync = (file) => {
    disk = { ...disk, syncs: disk.syncs + 1 }
    // PostgreSQL panics at this: what did not reach the disk may be lost.
    if (disk.fault === 'broken') throw errorOf(EIO)
    return fsync?.(file) ?? 0
  }
  calls.write = (...values) => {
    if (disk.fault === 'full') throw errorOf(ENOSPC)
    return write(...values)
  }
}

async function noteIds(): Promise<number[]> {
  return (await database.query<{ id: number }>('select id from notes order by id')).map(({ id }) => id)
}

async function writeNote(id: number): Promise<void> {
  await database.query('insert into notes values ($1, $2)', [id, 'x'.repeat(20_000)])
}

/** Descriptors of this process into the directory. */
function openFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(box)
    } catch {
      return false
    }
  }).length
}

describe('a commit', () => {
  it('reaches the disk before it is answered', async () => {
    await writeNote(1)
    expect(disk.syncs).toBeGreaterThan(0)
    await database.query('delete from notes')
  })

  it('shares its sync with those that wait with it, and is not heard of before', async () => {
    const syncsWhenHeard: number[] = []
    const work = Array.from({ length: 40 }, async (_, index) => {
      if (index % 2 === 0) await database.query('insert into notes values ($1, $2)', [index, 'a'])
      else await database.transaction((transaction) => transaction.query('insert into notes values ($1)', [index]))
      syncsWhenHeard.push(disk.syncs)
    })
    const reading = noteIds().then((ids) => ({ ids, syncs: disk.syncs }))
    await Promise.all(work)
    expect((await reading).ids).toHaveLength(40)
    expect((await reading).syncs).toBeGreaterThan(0)
    expect(Math.min(...syncsWhenHeard)).toBeGreaterThan(0)
    expect(disk.syncs).toBeLessThan(20)
    await database.query('delete from notes')
  })

  it('of a group whose sync fails is away for all, whoever only read included', async () => {
    disk = { ...disk, fault: 'broken' }
    const reasons = await Promise.all(
      [database.query('insert into notes values (5)'), noteIds(), database.query('insert into notes values (6)')].map(
        (one) => one.then(() => 'heard').catch((error: unknown) => Reflect.get(Object(error), 'outcome') as unknown),
      ),
    )
    expect(reasons).toEqual(['away', 'away', 'away'])
    disk = { ...disk, fault: 'none' }
    clock.advance(1000)
    await database.query('delete from notes')
  })
})

describe('statements', () => {
  it('take arrays and give whole numbers, null and text as they are', async () => {
    const values = ['plain', 'with "quotes", {braces} and \\', '', 'NULL', null, 'ümläut 票']
    const rows = await database.query<{ t: string | null; n: number; b: boolean }>(
      'select t, n, b from unnest($1::text[], $2::bigint[], $3::boolean[]) as u (t, n, b)',
      [values, values.map((_, index) => 2 ** 52 + index), values.map((_, index) => index % 2 === 0)],
    )
    expect(rows).toEqual(values.map((t, index) => ({ t, n: 2 ** 52 + index, b: index % 2 === 0 })))
  })

  it('are the same when they come again, and when their table has changed since', async () => {
    await database.query('create table changing (id bigint)')
    const insert = (): Promise<unknown> => database.query('insert into changing values ($1)', [1])
    const read = (): Promise<readonly object[]> => database.query('select * from changing')
    for (let times = 1; times <= 4; times += 1) {
      await insert()
      expect(await read()).toEqual(Array.from({ length: times }, () => ({ id: 1 })))
    }
    await database.query('alter table changing add column more text')
    // PostgreSQL refuses the kept form once.
    await read().catch(() => {})
    expect((await read())[0]).toEqual({ id: 1, more: null })
    const texts = Array.from(
      { length: 700 },
      (_, index) => `select ${index} as n, count(*) from changing where id = $1`,
    )
    for (const text of [...texts, ...texts.toReversed()]) expect(await database.query(text, [1])).toHaveLength(1)
    await database.query('drop table changing')
  })

  it('are refused by constraint and by value, away for another cause', async () => {
    await expect(database.query(`insert into notes values (1, repeat('x', 100000))`)).rejects.toMatchObject({
      outcome: 'refused',
      sqlState: '23514',
      constraint: 'notes_text_check',
    })
    await expect(database.query('select $1::bigint', ['one'])).rejects.toMatchObject({ outcome: 'refused' })
    await expect(database.query('select * from nowhere')).rejects.toMatchObject({ outcome: 'away', sqlState: '42P01' })
  })

  it.each([
    ['for a statement outside of it', () => database.query('select 1')],
    ['for another transaction', () => database.transaction((inner) => inner.query('select 1'))],
    ['for the event loop', () => new Promise((resolve) => setImmediate(resolve))],
  ])('of a transaction whose work waits %s are undone at once, and loudly; others go on', async (_name, wait) => {
    let late: unknown
    const work = database.transaction(async (transaction) => {
      await transaction.query('insert into notes values (7)')
      await wait()
      late = await transaction.query('insert into notes values (8)').catch((error: unknown) => error)
    })
    const behind = database.query('insert into notes values (9)')
    await expect(work).rejects.toThrow('0045')
    await behind
    expect(await noteIds()).toEqual([9])
    expect(late).toEqual(new Error('the transaction has ended'))
    await database.query('delete from notes')
  })

  it('of a transaction are kept all or none, and what its work throws is passed on', async () => {
    const error = new Error('changed my mind')
    const work = database.transaction(async (transaction) => {
      await transaction.query(`insert into notes values (2, 'no')`)
      throw error
    })
    await expect(work).rejects.toBe(error)
    const spoilt = database.transaction(async (transaction) => {
      await transaction.query(`insert into notes values (3, 'no')`)
      await transaction.query('select 1 / 0').catch(() => {})
    })
    await expect(spoilt).rejects.toMatchObject({ outcome: 'away' })
    clock.advance(1000)
    expect(await noteIds()).toEqual([])
  })
})

describe.each(['full', 'broken'] as const)('a disk that is %s', (fault) => {
  it('stops writes, spoils nothing, and is forgotten when it is well again', async () => {
    const before = await noteIds()
    const filesBefore = openFiles()
    await writeNote(10 + before.length)
    for (let tries = 0; tries < 3; tries += 1) {
      disk = { ...disk, fault }
      await expect(writeNote(1000 + tries)).rejects.toMatchObject({ outcome: 'away' })
      disk = { ...disk, fault: 'none' }
      clock.advance(1000)
    }
    // What was refused may have been kept or not; what was answered is there.
    expect((await noteIds()).filter((id) => id < 1000)).toEqual([...before, 10 + before.length])
    await writeNote(100 + before.length)
    expect((await noteIds()).filter((id) => id < 1000)).toEqual([...before, 10 + before.length, 100 + before.length])
    await database.query('delete from notes where id >= 100')
    expect(openFiles()).toBeLessThan(filesBefore + 20)
  })

  it('does not let every call open the directory anew', async () => {
    disk = { ...disk, fault }
    await expect(writeNote(2000)).rejects.toMatchObject({ outcome: 'away' })
    clock.advance(1000)
    await expect(writeNote(2001)).rejects.toMatchObject({ outcome: 'away' })
    const startedMs = performance.now()
    for (let calls = 0; calls < 1000; calls += 1) {
      await expect(database.query('select 1')).rejects.toMatchObject({ outcome: 'away' })
    }
    expect(performance.now() - startedMs).toBeLessThan(1000)
    disk = { ...disk, fault: 'none' }
    clock.advance(1000)
    await noteIds()
  })
})

describe('the directory', () => {
  it('is opened by one process at a time, and by the next when that one was killed', async () => {
    const directory = join(box, 'other')
    await expect(openPglite(join(box, 'ledger'))).rejects.toThrow('is open in this process already')
    const owner = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    const { identify } = await import('../../runtime/process-identity.ts')
    const identity = identify(owner.pid ?? 0)
    await mkdir(join(directory, `claim-${identity?.pid}-${identity?.startTicks}`), { recursive: true })
    await expect(openPglite(directory)).rejects.toThrow(`is in use by process ${owner.pid}`)
    expect(existsSync(join(directory, 'data'))).toBe(false)
    owner.kill('SIGKILL')
  })
})
