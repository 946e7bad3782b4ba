/** A store that lost what an operator did, before any node saw it; and the word that calls the operator. */
import { beforeEach, describe, expect, it } from 'vitest'
import { DEMO_FILE, TestNode, testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import { SILENT } from '../../runtime/log.ts'
import type { SaleRecord } from '../../stock/core/sale-record.ts'
import { inMemoryOrders, type InMemoryOrders } from '../testing/in-memory-orders.ts'

const NO_QUERY = new URLSearchParams()

let world: TestWorld
let orders: InMemoryOrders
let n1: TestNode
let called: unknown[]

async function begin(allInLedger: boolean): Promise<void> {
  world = testWorld()
  called = []
  const { port, rules, monotonicMs, askNode, union } = world
  const log = { ...SILENT, error: (fields: unknown, message: string) => void called.push([message, fields]) }
  orders = inMemoryOrders({ port, rules, nowMs: monotonicMs, askNode, union: { ...union, allInLedger }, log })
  await port.fleet.certify(0, 1)
  await post('/admin/sales', DEMO_FILE)
  await post('/admin/sales/demo/open')
  n1 = new TestNode(world, 'n1')
  n1.keepJournal()
  await n1.joinFleet()
  await n1.join()
  await go(1000)
}

function post(path: string, body = '') {
  return orders.answer({ method: 'POST', path, query: NO_QUERY, body })
}

async function go(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 200) {
    world.advance(200)
    await n1.heartbeat()
    await orders.round()
  }
}

/** A new life of the store that has the sale as it was before `act`. */
async function lose(act: () => Promise<unknown>): Promise<void> {
  const before = structuredClone<SaleRecord>(world.record('demo'))
  await act()
  world.stock.saleRecords.set('demo', before)
  world.restartStore()
}

async function demo() {
  const snapshot = await world.port.sales.read('demo', world.rules)
  if (snapshot === null) throw new Error('no sale')
  return snapshot
}

describe('a store that lost', () => {
  beforeEach(() => begin(true))

  it('a lower stock sells no more than the ledger says', async () => {
    await lose(() => post('/admin/sales/demo/stock', JSON.stringify({ fareId: 'second', stock: 90 })))
    expect((await demo()).fares).toMatchObject([{ stock: 100 }])
    await go(4000)
    expect(await demo()).toMatchObject({ certified: true, state: 'open', fares: [{ stock: 90, remaining: 90 }] })
    expect(orders.recovery.recovered().at(-1)).toMatchObject({ how: 'union' })
  })

  it.each(['pause', 'close'])('a %s does not sell', async (change) => {
    await lose(() => post(`/admin/sales/demo/${change}`))
    expect((await demo()).state).toBe('open')
    await go(4000)
    expect(await demo()).toMatchObject({ certified: true, state: change === 'pause' ? 'paused' : 'closed' })
  })
})

describe('an operator', () => {
  beforeEach(() => begin(false))

  it('is called, once, also when the reasons are those for which it was waited before', async () => {
    const stranger = new TestNode(world, 'n3')
    stranger.seen = { era: n1.seen.era, seq: n1.seen.seq + 3 }
    world.restartStore()
    await expect(stranger.join()).rejects.toThrow('recovering')
    await go(800)
    const waitedFor = orders.recovery.caseOf('demo')?.reasons
    expect([waitedFor?.join(), called]).toEqual([expect.stringContaining('none of the nodes that answer'), []])
    await go(4000)
    expect(called).toEqual([
      ['the sale stays recovering: an operator must decide', { saleId: 'demo', reasons: waitedFor }],
    ])
  })
})
