import { describe, expect, it } from 'vitest'
import type { SaleDefinition } from '../../stock/core/words.ts'
import type { SaleSnapshot } from '../../stock/port.ts'
import type { LedgerSale } from '../ledger/ledger.ts'
import { missingInStore } from './missing.ts'

const ORDERS = 45_000
const ids = Array.from({ length: ORDERS }, (_, n) => String(n).padStart(26, '0'))

/** All of them released, so that no sum tells of one that is gone. */
function world(lost: ReadonlySet<string>) {
  let longest = 0
  const definition = { id: 'demo' } as SaleDefinition
  const fare = { fareId: 'second', stock: 10, held: 0, paid: 0 }
  const sale = { definition, fares: [fare] } as unknown as LedgerSale
  const snapshot = { fares: [{ ...fare, remaining: 10 }] } as unknown as SaleSnapshot
  const ledger = {
    async scanOrderIds(_saleId: string, after: string | null, limit: number) {
      const start = after === null ? 0 : Number(after) + 1
      return ids.slice(start, start + limit)
    },
  }
  const store = {
    async readOrders(_saleId: string, asked: readonly string[]) {
      longest = Math.max(longest, asked.length)
      return asked.map((id) => (lost.has(id) ? null : ({ id } as never)))
    },
  }
  return { find: () => missingInStore(sale, snapshot, ledger, store), longest: () => longest }
}

describe('orders that the store has lost', () => {
  it.each([0, 4999, 5000, 20_000, ORDERS - 1])('are found wherever they are: number %d', async (place) => {
    const lost = ids[place] ?? ''
    const { find, longest } = world(new Set([lost]))
    const [reason] = await find()
    expect(reason).toContain(`${lost} among them`)
    expect(longest()).toBeLessThanOrEqual(5000)
  })

  it('are none when all are there', async () => {
    expect(await world(new Set()).find()).toEqual([])
  })
})
