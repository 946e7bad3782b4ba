import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../runtime/logger.ts'
import type { SaleDefinition } from '../stock/core/words.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import { SellingNode } from './selling-node.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const nowMs = (): number => Date.now()

const definition: SaleDefinition = {
  id: 's1',
  name: 'S',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 1000,
  fares: [{ id: 'f', name: 'F', stock: 5, price: { amount: 1, currency: 'CNY' } }],
  orderIdSecret: '00',
}

describe('SellingNode', () => {
  it('calls no sale unknown before it has heard which there are, nor while one of them cannot be read', async () => {
    const stock = createMemoryStock({ nowMs, fingerprint: () => 'life' })
    await stock.fleet.addSale('s1')
    const node = new SellingNode({
      port: stock,
      clock: { nowMs, monotonicMs: nowMs },
      logger: createLogger({ level: 'silent' }),
      metrics: { storeErrors: { value: 0 }, batchSent: () => {}, batchAnswered: () => {} },
      heartbeatMs: 250,
      desk: {
        nodeId: 'n1',
        rules: { buffer: { percent: 10 }, deadAfterMs: 1500 },
        batchMaxItems: 8,
        batchMaxInFlight: 2,
        lineMaxItems: 10,
        buyDeadlineMs: 1000,
        checkDurability: () => Promise.resolve(true),
      },
    })
    node.start({ id: 'n1', url: 'http://n1', adminUrl: 'http://n1', weight: 1 })
    await vi.advanceTimersByTimeAsync(600)
    expect(node.knowsSales).toBe(false)
    await stock.fleet.certify(0, 1)
    await vi.advanceTimersByTimeAsync(600)
    expect(node.knowsSales).toBe(false)
    await stock.sales.create(definition, 1)
    await vi.advanceTimersByTimeAsync(600)
    expect(node.knowsSales).toBe(true)
    expect([...node.desks.keys()]).toEqual(['s1'])
    node.stop()
  })
})
