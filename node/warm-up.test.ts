import { describe, expect, it } from 'vitest'
import { createLogger } from '../runtime/logger.ts'
import { systemRandom } from '../runtime/random.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import { StoreError } from '../stock/port.ts'
import type { DeskSettings } from './sale-desk.ts'
import { warmUp } from './warm-up.ts'

const desk: DeskSettings = {
  nodeId: 'n1',
  rules: { buffer: { percent: 10 }, deadAfterMs: 1500 },
  batchMaxItems: 128,
  batchMaxInFlight: 2,
  lineMaxItems: 100,
  buyDeadlineMs: 3000,
  checkDurability: () => Promise.reject(new Error('practice asks nobody about durability')),
}
const server = { logger: createLogger({ level: 'silent' }), random: systemRandom, maxBodyBytes: 4096 }

function noAnswer(): Promise<never> {
  return Promise.reject(new StoreError('timeout', 'unknown', 'no answer'))
}

describe('practice', () => {
  it('sells over HTTP to itself, and leaves nothing in the real store', async () => {
    const stock = createMemoryStock({ nowMs: () => 1_800_000_000_000, fingerprint: () => 'life' })
    const before = JSON.stringify([[...stock.saleRecords], stock.fleetRecord])
    expect(await warmUp({ port: stock, desk, server })).toBeGreaterThan(4)
    expect(JSON.stringify([[...stock.saleRecords], stock.fleetRecord])).toBe(before)
  })

  it('that fails keeps nobody from starting', async () => {
    const stock = createMemoryStock({ nowMs: () => 0, fingerprint: () => 'life' })
    const port = { ...stock, sales: { ...stock.sales, confirm: noAnswer } }
    expect(await warmUp({ port, desk, server })).toBe(0)
  })
})
