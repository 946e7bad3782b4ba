import { describe, expect, it } from 'vitest'
import { createLogger } from '../runtime/logger.ts'
import { systemRandom } from '../runtime/random.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import { type StockPort, StoreError } from '../stock/port.ts'
import type { DeskSettings } from './sale-desk.ts'
import { rehearseByHand, rehearseOpening, rehearseStart } from './rehearsal.ts'

/** How often somebody was to keep practice orders. */
let asked = 0
const desk: DeskSettings = {
  nodeId: 'n1',
  rules: { buffer: { percent: 10 }, deadAfterMs: 1500 },
  batchMaxItems: 128,
  batchMaxInFlight: 2,
  lineMaxItems: 100,
  buyDeadlineMs: 3000,
  checkDurability: () => Promise.reject(new Error('practice asks nobody about durability')),
  acknowledger: {
    keeps() {
      asked += 1
      return Promise.resolve({ outcome: 'kept' })
    },
  },
}
const server = { logger: createLogger({ level: 'silent' }), random: systemRandom, maxBodyBytes: 4096 }

/** Of a store, and what it confirms for whom. */
function watched() {
  const stock = createMemoryStock({ nowMs: () => 1_800_000_000_000, fingerprint: () => 'life' })
  const [sales, buyers] = [new Set<string>(), new Set<string>()]
  const confirm: StockPort['sales']['confirm'] = (saleId, caller, items, rules) => {
    sales.add(saleId)
    for (const { buyer } of items) buyers.add(buyer)
    return stock.sales.confirm(saleId, caller, items, rules)
  }
  return { stock, port: { ...stock, sales: { ...stock.sales, confirm } }, sales, buyers }
}

function noAnswer(): Promise<never> {
  return Promise.reject(new StoreError('timeout', 'unknown', 'no answer'))
}

describe.each([
  ['at the start', rehearseStart, 5],
  ['before an opening', rehearseOpening, 5],
  // Too short to be sure of more on a busy machine.
  ['before an opening by hand', rehearseByHand, 1],
])('practice %s', (_, rehearse, atLeast) => {
  it('sells over HTTP to itself, to one buyer after the other, and leaves nothing in the store', async () => {
    const { stock, port, sales, buyers } = watched()
    const before = JSON.stringify([[...stock.saleRecords], stock.fleetRecord])
    const bought = await rehearse({ port, desk, server })
    expect(bought).toBeGreaterThanOrEqual(atLeast)
    expect([...sales]).toEqual(['-practice-n1'])
    expect([buyers.size, asked]).toEqual([bought, 0])
    expect(JSON.stringify([[...stock.saleRecords], stock.fleetRecord])).toBe(before)
  })

  it('goes on where one broke off and left its sale', async () => {
    const { stock, port } = watched()
    const broken = { ...port.sales, erasePractice: () => Promise.resolve() }
    expect(await rehearse({ port: { ...port, sales: broken }, desk, server })).toBeGreaterThanOrEqual(atLeast)
    expect([...stock.saleRecords.keys()]).toEqual(['-practice-n1'])
    expect(await rehearse({ port, desk, server })).toBeGreaterThanOrEqual(atLeast)
    expect([...stock.saleRecords.keys()]).toEqual([])
  })

  it('that fails keeps nobody from starting', async () => {
    const { port } = watched()
    expect(await rehearse({ port: { ...port, sales: { ...port.sales, create: noAnswer } }, desk, server })).toBe(0)
  })
})
