import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../database.ts'
import { openDatabase } from '../open-ledger.ts'
import { runSequence, sequence } from './steps.ts'
import { startTestPostgres, type TestPostgres } from './test-postgres.ts'
import { memoryWorld, sqlWorld, type World } from './worlds.ts'

const SEQUENCES = 100

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

async function compare(kind: 'pglite' | 'postgres', runs: number, plant?: (world: World) => World): Promise<void> {
  await fc.assert(
    fc.asyncProperty(sequence, async (steps) => {
      const saleId = `s${(sales += 1)}x`
      const expected = await runSequence(plant === undefined ? memoryWorld() : plant(memoryWorld()), saleId, steps)
      expect(await runSequence(worlds[kind], saleId, steps)).toEqual(expected)
    }),
    { numRuns: runs, endOnFailure: plant !== undefined },
  )
}

describe.each(['pglite', 'postgres'] as const)('%s and the twin in memory', (kind) => {
  it(`answer alike in ${SEQUENCES} generated sequences`, { timeout: 120_000 }, async () => {
    await compare(kind, SEQUENCES)
  })
})
