/** A sale of any size is put together in the same memory. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { DEMO } from '../../coordinator/operations/testing/test-world.ts'
import type { UnitedSale } from '../../stock/core/union.ts'
import type { Order } from '../../stock/core/words.ts'
import type { LedgerOrder, LedgerSale } from '../ledger/ledger.ts'
import { uniteSale } from './union.ts'

const ORDERS = Number(process.env['UNION_ORDERS'] ?? 300_000)
const PAGE = 1000
const ERA = 7
/** Two pages of each side, and what a page becomes on its way. */
const HEAP_BOUND_BYTES = 16 * 1024 * 1024

const idOf = (index: number): string => String(index).padStart(26, '0')

function rowOf(index: number): LedgerOrder {
  return {
    id: idOf(index),
    saleId: DEMO.id,
    fareId: 'second',
    buyer: `buyer-${index}`,
    quantity: 1,
    state: 'held',
    reason: null,
    createdAtMs: index,
    holdExpiresAtMs: index + 300_000,
    paidAtMs: null,
    releasedAtMs: null,
    unitPrice: { amount: 100, currency: 'CNY' },
    isSettled: true,
  }
}

function recordOf(index: number, state: 'held' | 'paid' = 'held'): Order {
  const { id, fareId, buyer, quantity, createdAtMs } = rowOf(index)
  const paidAtMs = state === 'paid' ? index : null
  const paidSeq = state === 'paid' ? index + 2 : null
  const none = { reason: null, releasedAtMs: null, releasedSeq: null }
  return { id, fareId, buyer, quantity, state, createdAtMs, createdSeq: index + 1, paidAtMs, paidSeq, ...none }
}

/** Of each four orders one is in both, one the store has lost, one the ledger has not heard of, one is paid in the store. */
const isInLedger = (index: number): boolean => index % 4 !== 2
const isInStore = (index: number): boolean => index % 4 !== 1
const stateInStore = (index: number): 'held' | 'paid' => (index % 4 === 3 ? 'paid' : 'held')

function heapAfterCollecting(): () => number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  return () => {
    collect()
    return process.memoryUsage().heapUsed
  }
}

it(`puts ${ORDERS} orders together within the memory of a few thousand`, { timeout: 120_000 }, async () => {
  const heap = heapAfterCollecting()
  const before = heap()
  let highest = 0
  let calls = 0
  const sample = (): void => {
    calls += 1
    if (calls % 90 === 0) highest = Math.max(highest, heap())
  }
  let ensured = 0
  let opened: UnitedSale | null = null
  const sale = { definition: DEMO, era: ERA, fares: [{ fareId: 'second', stock: ORDERS }], state: 'open' }
  const indexesFrom = (from: number): number[] =>
    Array.from({ length: Math.min(PAGE, ORDERS - from) }, (_, at) => from + at)
  const report = await uniteSale(
    {
      monotonicMs: () => calls,
      ledger: {
        sale: async () => sale as unknown as LedgerSale,
        async scanOrders(_sale, after, limit) {
          sample()
          const rows: LedgerOrder[] = []
          for (let index = after === null ? 0 : Number(after) + 1; rows.length < limit && index < ORDERS; index += 1) {
            if (isInLedger(index)) rows.push(rowOf(index))
          }
          return rows
        },
        orders: async (ids) => ids.map(Number).filter(isInLedger).map(rowOf),
        async ensure(_sale, _era, orders) {
          ensured += orders.length
          const rows = orders.map((order) => ({ ...rowOf(Number(order.id)), state: order.state }))
          return { outcome: 'ensured', orders: rows, conflicts: [], setAside: [] }
        },
      },
      store: {
        beginUnion: async () => ({ outcome: 'begun', version: { era: 1, seq: 1 } }),
        reassert: async () => ({ outcome: 'reasserted' }),
        async openUnion(_sale, _era, united) {
          opened = united
          return { outcome: 'certified', version: { era: ERA, seq: 1 } }
        },
        async scanOrders(_sale, cursor) {
          sample()
          const from = Number(cursor)
          const orders = indexesFrom(from)
            .filter(isInStore)
            .map((index) => recordOf(index, stateInStore(index)))
          return { orders, cursor: from + PAGE < ORDERS ? String(from + PAGE) : null }
        },
        async readOrders(_sale, ids) {
          sample()
          return ids.map((id) => (isInStore(Number(id)) ? recordOf(Number(id), stateInStore(Number(id))) : null))
        },
      },
    },
    { sale: sale as unknown as LedgerSale, era: ERA, floorSeq: 1, nodes: [], told: async () => [], onUnited: () => {} },
  )
  const quarter = ORDERS / 4
  expect(report).toMatchObject({ reasserted: quarter, fromJournals: 0, conflicts: [], setAside: [] })
  expect(ensured).toBe(2 * quarter)
  expect(opened).toMatchObject({ tickets: ORDERS, fares: [{ held: 3 * quarter, paid: quarter }] })
  expect(highest).toBeGreaterThan(before)
  expect(highest - before).toBeLessThan(HEAP_BOUND_BYTES)
})
