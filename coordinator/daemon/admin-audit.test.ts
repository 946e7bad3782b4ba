/** What is written down of every change: who, when, before and after; and that nothing is changed without it. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AdminAnswer, AdminRequest } from '../../http/admin-server.ts'
import { SILENT } from '../../runtime/log.ts'
import { TestNode, testWorld, type TestWorld } from '../operations/testing/test-world.ts'
import { answerAdmin, type AdminParts } from './admin-routes.ts'
import { Cycle } from './cycle.ts'
import { openJournal, readJournal, type Journal } from './journal.ts'
import { Leadership } from './leadership.ts'
import { memoryEras, TestEdge } from './testing/mortal-leader.ts'

const NOW_MS = Date.parse('2027-01-20T02:00:00Z')

let directory = ''
let journal: Journal
let world: TestWorld
let parts: AdminParts

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-audit-'))
  journal = openJournal(directory, 'c1', () => NOW_MS)
  world = testWorld()
  const { port, rules, monotonicMs } = world
  const leadership = new Leadership(port.fleet, { id: 'c1', adminUrl: 'http://c1' }, monotonicMs)
  const outside = { loadBalancer: new TestEdge(), eras: memoryEras(), log: SILENT }
  const cycle = new Cycle({ port, rules, leadership, monotonicMs, ...outside })
  await cycle.tick()
  const n1 = new TestNode(world, 'n1')
  await n1.joinFleet()
  parts = { world, leadership, cycle, declaredDurable: false, journal }
})
afterEach(() => rm(directory, { recursive: true, force: true }))

function weigh(weight: number, more: Partial<AdminRequest> = {}): Promise<AdminAnswer> {
  const body = JSON.stringify({ weight })
  const who = { role: 'operator', by: 'ann@desk', from: '10.0.0.7' } as const
  const path = '/admin/nodes/n1/weight'
  return answerAdmin(parts, { method: 'POST', path, query: new URLSearchParams(), body, ...who, ...more })
}

async function written() {
  return readJournal(directory, { after: null, limit: 10 })
}

async function weightNow(): Promise<number | undefined> {
  return (await world.port.fleet.read()).nodes[0]?.weight
}

const WHO = { role: 'operator', by: 'ann@desk', from: '10.0.0.7' }

describe('a change', () => {
  it('is written down with who, when, before and after: once asked for, and once done', async () => {
    expect(await weigh(3)).toMatchObject({ status: 200 })
    const [asked, done, ...others] = await written()
    expect(others).toEqual([])
    expect(asked).toMatchObject({ kind: 'change', text: 'POST /admin/nodes/n1/weight: asked' })
    expect(asked?.data).toEqual({ who: WHO, before: { state: 'live', weight: 1, epoch: 1 } })
    expect(done).toMatchObject({ at: '2027-01-20T02:00:00.000Z', text: 'POST /admin/nodes/n1/weight: changed' })
    expect(done?.data).toEqual({
      who: WHO,
      before: { state: 'live', weight: 1, epoch: 1 },
      after: { state: 'live', weight: 3, epoch: 1 },
    })
  })

  it('that is refused is written down, too, by an operator of an older version or a leader that is none', async () => {
    const expected = { era: 1, seq: 1 }
    await weigh(3, { body: JSON.stringify({ weight: 3, expected }) })
    world.advance(2000)
    await weigh(4)
    const texts = (await written()).map(({ text }) => text)
    expect(texts.filter((text) => text.includes('refused'))).toEqual([
      'POST /admin/nodes/n1/weight: refused, outdated',
      'POST /admin/nodes/n1/weight: refused, not_leader',
    ])
    expect(await weightNow()).toBe(1)
  })

  it('is not made where it cannot be written down', async () => {
    parts = { ...parts, journal: { ...journal, change: () => Promise.reject(new Error('the disk is full')) } }
    await weigh(3).catch(() => null)
    expect(await weightNow()).toBe(1)
  })

  it('is readable by its owner alone; looking is not written down', async () => {
    await weigh(3)
    const path = join(directory, 'audit-c1.jsonl')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const before = await readFile(path, 'utf8')
    await weigh(3, { method: 'GET', path: '/admin/nodes', body: '', role: 'viewer' })
    expect(await readFile(path, 'utf8')).toBe(before)
  })
})
