import { beforeEach, describe, expect, it } from 'vitest'
import { SILENT } from '../runtime/log.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import type { Order, SaleDefinition } from '../stock/core/words.ts'
import type { Ledger } from './ledger/ledger.ts'
import { MemoryLedger } from './ledger/memory-ledger.ts'
import { OrderReader } from './order-reader.ts'
import { SaleBook } from './sale-book.ts'

const DEMO: SaleDefinition = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 50,
  holdMs: 300_000,
  fares: [{ id: 'second', name: 'Second', price: { amount: 100, currency: 'CNY' }, stock: 1000 }],
  orderIdSecret: 'ab'.repeat(32),
}
const rules = { buffer: { percent: 10 }, deadAfterMs: 1500 }

let nowMs = 1_800_000_000_000
let port: ReturnType<typeof createMemoryStock>
let ledger: MemoryLedger
let epoch = 0

beforeEach(async () => {
  port = createMemoryStock({ nowMs: () => nowMs, fingerprint: () => 'life' })
  ledger = new MemoryLedger({ nowMs: () => nowMs })
  await port.fleet.certify(0, 1)
  await port.sales.create(DEMO, 1)
  await port.fleet.addSale('demo')
  await port.sales.change('demo', 'open', { era: 0, seq: 0 })
  await ledger.createSale(DEMO)
  const joined = await port.sales.join('demo', { id: 'n1', weight: 1 }, { era: 0, seq: 0 }, 0, rules)
  if (joined.outcome === 'joined') epoch = joined.epoch
})

function reader(changed: Partial<Ledger> = {}): OrderReader {
  const asked = new Proxy(ledger, {
    get: (target, name) => Reflect.get(changed, name) ?? Reflect.get(target, name).bind(target),
  })
  return new OrderReader({ ledger: asked, port, book: new SaleBook(port, rules), log: SILENT })
}

/** An order in the store, each a millisecond later than the one before. */
async function buy(id: string): Promise<Order> {
  nowMs += 1
  const seen = (await port.sales.read('demo', rules))?.version ?? { era: 0, seq: 0 }
  const caller = { nodeId: 'n1', epoch, seen, lastWriteSeq: 0 }
  const item = { orderId: id, buyer: 'alice', fareId: 'second', quantity: 1, deadlineMs: nowMs + 1000 }
  const reply = await port.sales.confirm('demo', caller, [item], rules)
  const order = reply.outcome === 'judged' ? reply.verdicts[0]?.order : undefined
  if (order === undefined) throw new Error(`no order: ${JSON.stringify(reply)}`)
  return order
}

async function pages(from: OrderReader, limit: number): Promise<string[][]> {
  const all: string[][] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<OrderReader['ofBuyer']>> = await from.ofBuyer('alice', cursor, limit)
    if (page === null) throw new Error(`no page behind ${cursor}`)
    all.push(page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== null)
  return all
}

const away = (): Promise<never> => Promise.reject(new Error('the ledger is away'))

describe('one order', () => {
  it('is read from the store while the ledger does not have it, then from the ledger', async () => {
    const order = await buy('a')
    expect(await reader().find('a')).toMatchObject({ id: 'a', saleId: 'demo', state: 'held', buyer: 'alice' })
    expect(await reader().find('b')).toBeNull()
    await ledger.ensure('demo', 1, [order])
    await ledger.decide([{ orderId: 'a', fate: { state: 'released', reason: 'cancelled' } }], nowMs)
    expect(await reader().find('a')).toMatchObject({ state: 'released', reason: 'cancelled' })
  })

  it('is read from the store while the ledger is away, or hangs', async () => {
    await buy('a')
    expect(await reader({ order: away }).find('a')).toMatchObject({ id: 'a' })
    expect(await reader({ order: () => new Promise(() => {}) }).find('a')).toMatchObject({ id: 'a' })
  })

  it('keeps one reader at a time waiting for a ledger that hangs, until it answers', async () => {
    const order = await buy('a')
    await ledger.ensure('demo', 1, [order])
    await ledger.decide([{ orderId: 'a', fate: { state: 'paid' } }], nowMs)
    let isHanging = true
    let asked = 0
    const patient = reader({
      order: (id) => {
        asked += 1
        return isHanging ? new Promise(() => {}) : ledger.order(id)
      },
    })
    await patient.find('a')
    asked = 0
    const found = await Promise.all(Array.from({ length: 20 }, () => patient.find('a')))
    expect([asked, new Set(found.map((one) => one?.state))]).toEqual([1, new Set(['held'])])
    isHanging = false
    expect((await patient.find('a'))?.state).toBe('paid')
    expect(
      new Set((await Promise.all(Array.from({ length: 20 }, () => patient.find('a')))).map((one) => one?.state)),
    ).toEqual(new Set(['paid']))
  })
})

describe('a buyer’s orders', () => {
  it('are all there once, newest first, whoever knows them, over pages of any size', async () => {
    const ids = Array.from({ length: 12 }, (_, index) => `o${String(index).padStart(2, '0')}`)
    for (const [index, id] of ids.entries()) {
      const order = await buy(id)
      // Two of three are in the ledger, in no order.
      if (index % 3 !== 1) await ledger.ensure('demo', 1, [order])
    }
    for (const limit of [1, 2, 3, 5, 12, 50]) {
      const found = await pages(reader(), limit)
      expect(found.flat()).toEqual(ids.toReversed())
      expect(found.slice(0, -1).every((page) => page.length === limit)).toBe(true)
    }
    expect((await pages(reader({ ordersOfBuyer: away }), 5)).flat()).toEqual(ids.toReversed())
  })

  it('beyond what the store lists are not taken for the end while the ledger is away', async () => {
    const ids = Array.from({ length: 103 }, (_, index) => `o${String(index).padStart(3, '0')}`)
    for (const id of ids) {
      await ledger.ensure('demo', 1, [await buy(id)])
      const { version } = (await port.sales.read('demo', rules)) ?? { version: { era: 0, seq: 0 } }
      const released = { state: 'released', reason: 'cancelled' } as const
      await port.sales.settle('demo', [{ orderId: id, fate: released, atMs: nowMs }], version)
    }
    expect((await pages(reader(), 30)).flat()).toEqual(ids.toReversed())
    const gone = reader({ ordersOfBuyer: away })
    const first = await gone.ofBuyer('alice', null, 100)
    expect(first?.items).toHaveLength(100)
    expect(await gone.ofBuyer('alice', first?.nextCursor ?? null, 100)).toBeNull()
    // The ledger is back: the same cursor goes on.
    expect((await reader().ofBuyer('alice', first?.nextCursor ?? null, 100))?.items.map(({ id }) => id)).toEqual(
      ids.slice(0, 3).toReversed(),
    )
  })
})
