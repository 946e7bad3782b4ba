import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Acts } from '../act-ledger.ts'
import type { Database } from '../database.ts'
import type { EventBatch, Ledger, TakeResult } from '../ledger.ts'
import { openDatabase } from '../open-ledger.ts'
import { runSequence, sequence } from './steps.ts'
import { startTestPostgres, type TestPostgres } from './test-postgres.ts'
import { memoryWorld, sqlWorld, type World } from './worlds.ts'

const SEQUENCES = { pglite: 60, postgres: 120 }

let server: TestPostgres
let directory: string
const databases: Database[] = []
let worlds: Record<'pglite' | 'postgres', World>

async function worldAt(url: string): Promise<World> {
  const database = await openDatabase(url)
  databases.push(database)
  return sqlWorld(database)
}

beforeAll(async () => {
  // Nothing here dies, so nothing need reach the disk.
  server = await startTestPostgres(['fsync=off'])
  directory = await mkdtemp(join(tmpdir(), 'farebox-ledger-'))
  worlds = { pglite: await worldAt(`pglite://${directory}`), postgres: await worldAt(await server.database()) }
})
afterAll(async () => {
  for (const database of databases) await database.close()
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

let sales = 0

async function compare(world: World, runs: number, plant?: (world: World) => World): Promise<void> {
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const saleId = `s${(sales += 1)}x`
      const expected = await runSequence(plant === undefined ? memoryWorld() : plant(memoryWorld()), saleId, steps)
      expect(await runSequence(world, saleId, steps)).toEqual(expected)
    }),
    { numRuns: runs, endOnFailure: plant !== undefined },
  )
}

describe.each(['pglite', 'postgres'] as const)('%s and the twin in memory', (kind) => {
  it(`answer alike in ${SEQUENCES[kind]} generated sequences`, { timeout: 120_000 }, async () => {
    await compare(worlds[kind], SEQUENCES[kind])
  })
})

describe('a planted difference is found', () => {
  const inTwin: [string, (ledger: Ledger) => Partial<Ledger>][] = [
    ['paying forgets the deadline', (ledger) => ({ decide: async (decisions) => ledger.decide(decisions, null) })],
    ['a fenced batch is taken', (ledger) => ({ take: async (sale, batch) => takeUnfenced(ledger, sale, batch) })],
    ['settling is forgotten', () => ({ markSettled: async () => {} })],
  ]
  const inActs: [string, Partial<Acts>][] = [
    ['every turn is the first one', { beginTurn: async (saleId) => ({ saleId, number: 1 }) }],
    ['what was told is told again', { told: async () => true }],
    ['a transfer is carried, and forgotten by nobody', { dropTransfer: async () => true }],
    ['a stock is followed below what is sold', { followStock: async () => true }],
  ]
  it.each(inTwin)('in the twin: %s', { timeout: 60_000 }, async (_name, change) => {
    const plant = (world: World): World => ({ ...world, ledger: changed(world.ledger, change(world.ledger)) })
    await expect(compare(worlds.postgres, 300, plant)).rejects.toThrow(/Counterexample/)
  })

  it.each(inActs)('in the acts of the twin: %s', { timeout: 60_000 }, async (_name, change) => {
    const plant = (world: World): World => ({ ...world, acts: changed(world.acts, change) })
    await expect(compare(worlds.postgres, 300, plant)).rejects.toThrow(/Counterexample/)
  })

  const inSql: [string, string][] = [
    ['counters are not moved on', 'drop trigger orders_counted_on on orders'],
    ['counters are not moved in', 'drop trigger orders_counted_in on orders'],
    ['transfers are never under way', 'create rule no_transfers as on insert to transfers do instead nothing'],
    ['the last guard is gone', 'alter table fares drop constraint fares_never_oversold'],
    [
      'the clock is ahead',
      `create or replace function ledger_now_ms() returns bigint language sql as $$ select now_ms + 1 from test_world $$`,
    ],
  ]
  it.each(inSql)('in the database: %s', { timeout: 60_000 }, async (_name, statement) => {
    const database = await openDatabase(await server.database())
    databases.push(database)
    const world = await sqlWorld(database)
    await database.query(statement)
    await expect(compare(world, 300, (twin) => twin)).rejects.toThrow(/Counterexample/)
  })
})

function changed<T extends object>(whole: T, change: Partial<T>): T {
  return new Proxy(whole, {
    get(target, name): unknown {
      const value: unknown = Reflect.get(name in change ? change : target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

async function takeUnfenced(ledger: Ledger, saleId: string, batch: EventBatch): Promise<TakeResult> {
  const era = (await ledger.sale(saleId))?.era ?? 1
  return ledger.take(saleId, { ...batch, storeEra: era })
}
