import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SaleDefinition, Order } from '../../stock/core/words.ts'
import type { Ledger } from './ledger.ts'
import { openLedger } from './open-ledger.ts'

let directory: string
let ledger: Ledger

const DEFINITION: SaleDefinition = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 4,
  holdMs: 60_000,
  orderIdSecret: '00',
  fares: [{ id: 'second', name: 'Second', price: { amount: 100, currency: 'CNY' }, stock: 10 }],
}
const held = (id: string, quantity = 1): Order => ({
  id,
  fareId: 'second',
  quantity,
  buyer: 'b',
  state: 'held',
  reason: null,
  createdAtMs: Date.now(),
  createdSeq: 1,
  paidAtMs: null,
  paidSeq: null,
  releasedAtMs: null,
  releasedSeq: null,
})

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-ledger-'))
  ;({ ledger } = await openLedger(`pglite://${directory}`))
})
afterAll(async () => {
  await ledger.close()
  await rm(directory, { recursive: true, force: true })
})

describe('the ledger on PGlite', () => {
  it('works', async () => {
    expect((await ledger.createSale(DEFINITION)).outcome).toBe('created')
    expect((await ledger.createSale(DEFINITION)).outcome).toBe('exists')
    expect(
      await ledger.take('demo', {
        storeEra: 1,
        after: { era: 0, seq: 0 },
        upTo: { era: 1, seq: 5 },
        orders: [held('a', 4), held('b', 4), held('c', 4), held('d', 2), held('q', 9)],
      }),
    ).toEqual({ outcome: 'taken', inserted: 4, conflicts: ['c'], setAside: ['q'] })
    expect(await ledger.sale('demo')).toMatchObject({
      taken: { era: 1, seq: 5 },
      fares: [{ fareId: 'second', stock: 10, held: 10, paid: 0 }],
    })
    const results = await ledger.decide(
      [
        { orderId: 'a', fate: { state: 'paid' } },
        { orderId: 'a', fate: { state: 'released', reason: 'cancelled' } },
        { orderId: 'b', fate: { state: 'released', reason: 'cancelled' } },
        { orderId: 'x', fate: { state: 'paid' } },
      ],
      null,
    )
    expect(results.map((r) => r.outcome)).toEqual(['decided', 'refused', 'decided', 'no_such_order'])
    expect(await ledger.sums('demo')).toEqual([{ fareId: 'second', held: 2, paid: 4 }])
    expect((await ledger.unsettled('demo', 10)).map((o) => o.id)).toEqual(['c', 'a', 'b'])
    await ledger.markSettled([{ orderId: 'a', fate: { state: 'paid' } }])
    expect((await ledger.unsettled('demo', 10)).map((o) => o.id)).toEqual(['c', 'b'])
    expect((await ledger.feed('demo', 0, 10)).map((o) => o.order.id)).toEqual(['c', 'd', 'a', 'b'])
    expect(await ledger.deadLetters('demo')).toHaveLength(1)
    for (let n = 2; n <= 5; n++)
      expect(await ledger.retryDeadLetters('demo', 1)).toEqual({ inserted: 0, died: n === 5 ? ['q'] : [] })
    expect((await ledger.ordersOfBuyer('b', null, 2)).items).toHaveLength(2)
    expect(await ledger.releaseDeadLetters('demo', Date.now() + 100_000, 10)).toEqual([])
  })
})
