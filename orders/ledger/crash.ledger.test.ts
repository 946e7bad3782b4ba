/** A process that is killed in the middle of its batches loses none that it spoke of, and doubles none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from './conformance/test-postgres.ts'
import { openLedger } from './open-ledger.ts'
import { BATCH } from './testing/taker.ts'

const TAKER = join(import.meta.dirname, '..', '..', 'dist', 'orders', 'ledger', 'testing', 'taker.js')

let server: TestPostgres
let box: string

beforeAll(async () => {
  expect(existsSync(TAKER), 'run node setup/build.mjs first').toBe(true)
  server = await startTestPostgres()
  box = await mkdtemp(join(tmpdir(), 'farebox-ledger-'))
})
afterAll(async () => {
  await server.stop()
  await rm(box, { recursive: true, force: true })
})

/** Starts a taker, kills it at some moment after it has spoken of this many batches; returns the last it spoke of. */
async function takeAndKill(url: string, batches: number): Promise<number> {
  const taker = spawn(process.execPath, [TAKER, url, 'demo'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(taker, 'exit')
  let text = ''
  for await (const chunk of taker.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString()
    if (text.split('\n').length > batches) taker.kill('SIGKILL')
  }
  await exited
  const spoken = text.split('\n').slice(0, -1).map(Number)
  expect(spoken.length).toBeGreaterThanOrEqual(batches)
  return spoken.at(-1) ?? 0
}

/** The books after a kill: whole batches, every one spoken of, each order once. */
async function check(url: string, spoken: number): Promise<void> {
  const { ledger, database } = await openLedger(url)
  const sale = await ledger.sale('demo')
  const taken = sale?.taken.seq ?? 0
  expect(taken).toBeGreaterThanOrEqual(spoken)
  const [row] = await database.query<{ rows: number; newest: string }>(
    'select count(*)::bigint as rows, max(id) as newest from orders',
  )
  expect(row?.rows).toBe(taken * BATCH)
  expect(row?.newest).toBe(`demo${String(taken * BATCH - 1).padStart(8, '0')}`)
  expect(await ledger.sums('demo')).toEqual([{ fareId: 'second', held: taken * BATCH, paid: 0 }])
  expect(sale?.fares).toMatchObject([{ held: taken * BATCH, paid: 0 }])
  await ledger.close()
}

// A killed PGlite takes a second or more to open: it syncs every file first.
describe.each([
  { kind: 'pglite', kills: [2, 8] },
  { kind: 'postgres', kills: [3, 1, 12, 7, 30] },
] as const)('kill -9 in mid-batch on $kind', ({ kind, kills }) => {
  it('loses no committed order and doubles none', async () => {
    const url = kind === 'pglite' ? `pglite://${join(box, 'ledger')}` : await server.database()
    for (const batches of kills) await check(url, await takeAndKill(url, batches))
  })
})
