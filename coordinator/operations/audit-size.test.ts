/** A sale of any size is audited in the same memory. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { Order } from '../../stock/core/words.ts'
import { audit } from './audit.ts'
import { HOLES, Pigeonholes } from './pigeonholes.ts'
import { DEMO, testWorld, type TestWorld } from './testing/test-world.ts'

const PAGE = 1000
/** Holes that are not full hold up to 8 kB each, of records, tickets, entries and rows. */
const HEAP_BOUND_BYTES = 16 * 1024 * 1024

/** Order number `index` of a sale in which every order has another buyer, and every third is paid. */
function orderOf(index: number): Order {
  const isPaid = index % 3 === 0
  return {
    id: `${((index * 7919) % 1_000_003).toString(32).padStart(4, '0')}x${String(index).padStart(21, '0')}`,
    fareId: 'second',
    quantity: 1,
    buyer: `buyer-${index}`,
    state: isPaid ? 'paid' : 'held',
    reason: null,
    createdAtMs: index,
    createdSeq: index + 1,
    paidAtMs: isPaid ? index : null,
    paidSeq: isPaid ? 10_000_000 + index : null,
    releasedAtMs: null,
    releasedSeq: null,
  }
}

/** The demo sale with this many orders, all of them made up page by page when they are asked for. */
async function worldOf(count: number, sample: () => void, rowOf = (order: Order): object | null => order) {
  const world = testWorld()
  await world.port.fleet.certify(0, 1)
  await world.port.sales.create({ ...DEMO, fares: DEMO.fares.map((fare) => ({ ...fare, stock: count })) }, 2)
  const paid = Math.ceil(count / 3)
  const { sales } = world.port
  const page = <T>(cursor: string | null, one: (index: number) => T): { items: T[]; next: string | null } => {
    sample()
    const from = Number(cursor ?? '')
    const length = Math.min(PAGE, count - from)
    const next = from + length < count ? String(from + length) : null
    return { items: Array.from({ length }, (_, index) => one(from + index)), next }
  }
  const made: TestWorld = {
    ...world,
    port: {
      ...world.port,
      sales: {
        ...sales,
        async read(saleId, rules) {
          const snapshot = await sales.read(saleId, rules)
          if (snapshot === null) return null
          const fares = [{ fareId: 'second', stock: count, remaining: 0, held: count - paid, paid }]
          return { ...snapshot, version: { era: 2, seq: 20_000_000 }, fares, unattributed: count }
        },
        async scanOrders(_sale, cursor) {
          const { items, next } = page(cursor, orderOf)
          return { orders: items, cursor: next }
        },
        async scanBuyers(_sale, cursor) {
          const { items, next } = page(cursor, (index) => ({ buyer: `buyer-${index}`, tickets: 1 }))
          return { buyers: items, cursor: next }
        },
        async readOrders(_sale, ids) {
          return ids.map((id) => orderOf(Number(id.slice(id.indexOf('x') + 1))))
        },
      },
    },
    orders: {
      ...world.orders,
      async call<T>(_method: 'GET' | 'POST', path: string) {
        if (path.endsWith('/money')) return { problems: [] } as T
        if (path.endsWith('/recount')) return { fares: [] } as T
        const query = new URLSearchParams(path.split('?')[1])
        const stocks = [{ fareId: 'second', stock: count }]
        const ids = query.get('ids')?.split(',').filter(Boolean)
        const known = (ids ?? []).map((id) => rowOf(orderOf(Number(id.slice(id.indexOf('x') + 1)))))
        if (ids !== undefined) return { items: known.filter((row) => row !== null), next: null, stocks } as T
        const { items, next } = page(query.get('after'), (index) => rowOf(orderOf(index)))
        return { items: items.filter((row) => row !== null), next, stocks } as T
      },
    },
  }
  return made
}

function heapAfterCollecting(): () => number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  return () => {
    collect()
    return process.memoryUsage().heapUsed
  }
}

it('audits 300,000 orders within the memory of a few thousand', { timeout: 60_000 }, async () => {
  const heap = heapAfterCollecting()
  let calls = 0
  let highest = 0
  const world = await worldOf(300_000, () => {
    calls += 1
    if (calls % 90 === 0) highest = Math.max(highest, heap())
  })
  const before = heap()
  const report = await audit(world, 'demo')
  expect(report.problems).toEqual([])
  expect(report.fares[0]).toMatchObject({ countedHeld: 200_000, countedPaid: 100_000, ledgerPaid: 100_000 })
  expect(highest).toBeGreaterThan(before)
  expect(highest - before).toBeLessThan(HEAP_BOUND_BYTES)
})

it('finds the one wrong order among many, and counts on when nearly all are wrong', { timeout: 60_000 }, async () => {
  const wrong = orderOf(31_415)
  const one = await worldOf(
    60_000,
    () => {},
    (order) => (order.id === wrong.id ? { ...order, quantity: 2 } : order),
  )
  const { problems } = await audit(one, 'demo')
  expect(problems.map(({ rule, witness }) => `${rule}: ${witness}`)).toEqual([
    `ledger_order: order ${wrong.id}: the store says held, 1 of second, the ledger held, 2 of second`,
    'ledger_sum: fare second: the order records sum to 60000, the ledger to held 40001 + paid 20000 + pending 0 = 60001',
  ])

  const report = await audit(
    await worldOf(
      60_000,
      () => {},
      () => null,
    ),
    'demo',
  )
  expect(report.problems.at(100)).toEqual({ rule: 'ledger_order', witness: 'and at least 59900 more' })
  expect(report.fares[0]).toMatchObject({ ledgerHeld: 0, ledgerPaid: 0, ledgerPending: 0 })
})

it('brings back what was put, in its order, from memory and from the file', async () => {
  const holes = new Pigeonholes<readonly [string, number]>({
    pack: (item) => item,
    unpack: ([key, number]) => [key as string, number as number],
  })
  const text = 'x'.repeat(50)
  for (let number = 0; number < 200_000; number++) {
    holes.put(`${number % 5000}${text}`, [`${number % 5000}${text}`, number])
    if (number % PAGE === 0) await holes.spill()
  }
  expect(holes.spilledBytes).toBeGreaterThan(2_000_000)
  const back = new Map<string, number[]>()
  for (let hole = 0; hole < HOLES; hole++) {
    for (const [key, number] of await holes.read(hole)) back.set(key, [...(back.get(key) ?? []), number])
  }
  expect(back.size).toBe(5000)
  expect(back.get(`7${text}`)).toEqual(Array.from({ length: 40 }, (_, times) => 7 + 5000 * times))
  await holes.close()
})
