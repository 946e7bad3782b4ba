/** Recovery over store and ledger in memory: two orders processes, two nodes, clocks moved by hand. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { TestNode, testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import type { AdminAnswer } from '../../http/admin-server.ts'
import type { Order } from '../../stock/core/words.ts'
import { inMemoryOrders, type InMemoryOrders } from '../testing/in-memory-orders.ts'

const SALE_FILE = `
id: demo
name: Demo
limitPerBuyer: 2
holdSeconds: 300
fares:
  - { id: second, name: Second, stock: 100, price: { amount: 100, currency: CNY } }
`
const NO_QUERY = new URLSearchParams()

let world: TestWorld
let o1: InMemoryOrders
let n1: TestNode
let n2: TestNode

beforeEach(async () => {
  world = testWorld()
  o1 = world.process
  await world.port.fleet.certify(0, 1)
  await post('/admin/sales', SALE_FILE)
  await post('/admin/sales/demo/open')
  n1 = new TestNode(world, 'n1')
  n2 = new TestNode(world, 'n2')
  for (const node of [n1, n2]) {
    await node.joinFleet()
    await node.join()
  }
  await go(1000, [n1, n2])
})

function post(path: string, body = ''): Promise<AdminAnswer> {
  return o1.answer({ method: 'POST', path, query: NO_QUERY, body })
}

/** Rounds of 200 ms in which these nodes speak. */
async function go(ms: number, speaking: readonly TestNode[], ...processes: InMemoryOrders[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 200) {
    world.advance(200)
    for (const node of speaking) await node.heartbeat()
    for (const one of processes.length > 0 ? processes : [o1]) await one.round().catch(() => {})
  }
}

async function demo() {
  const snapshot = await world.port.sales.read('demo', world.rules)
  if (snapshot === null) throw new Error('no sale')
  return snapshot
}

async function ledgerSale() {
  const sale = await o1.ledger.sale('demo')
  if (sale === null) throw new Error('no sale')
  return sale
}

/** What the pipeline would have done. */
async function take(...ids: string[]): Promise<void> {
  const orders = await world.port.sales.readOrders('demo', ids)
  const { era } = await ledgerSale()
  expect(
    await o1.ledger.ensure(
      'demo',
      era,
      orders.filter((order): order is Order => order !== null),
    ),
  ).toMatchObject({
    outcome: 'ensured',
  })
}

function another(): InMemoryOrders {
  const { port, rules, monotonicMs, askNode } = world
  return inMemoryOrders({ port, rules, nowMs: monotonicMs, askNode, shared: o1 })
}

function reasons(process = o1): string | undefined {
  return process.recovery.caseOf('demo')?.reasons.join()
}

describe('a store that began another life', () => {
  it('with everything there: the sale goes on by itself, under a new era that the ledger allotted', async () => {
    await n1.sell('o1', 'alice')
    await take('o1')
    const before = await demo()
    world.restartStore()
    expect(await n1.sell('o2', 'bob')).toBe('recovering')
    await go(600, [])
    const after = await demo()
    expect(after.certified).toBe(true)
    expect(after.version.era).toBeGreaterThan(before.version.era)
    expect(after.version.era).toBe((await ledgerSale()).era)
    expect(after.version.seq).toBeGreaterThan(before.version.seq)
    n1.seen = after.version
    await n1.join()
    expect(await n1.sell('o2', 'bob')).toBe('held')
    expect(o1.recovery.cases()).toEqual([])
  })

  it('is recovered once by two processes', async () => {
    const o2 = another()
    await o2.round()
    world.restartStore()
    await Promise.all([go(600, [], o1), o2.round(), o2.round()])
    await go(1200, [], o1, o2)
    const { version, certified } = await demo()
    expect(certified).toBe(true)
    expect(version.era).toBe((await ledgerSale()).era)
    const { era } = version
    await go(3000, [], o1, o2)
    expect((await demo()).version.era).toBe(era)
  })

  it('after a crash between the ledger’s step and the store’s: begins anew', async () => {
    const { era } = await ledgerSale()
    world.restartStore()
    await o1.ledger.beginEra('demo', era)
    await go(1200, [])
    expect(await demo()).toMatchObject({ certified: true, version: { era: era + 2 } })
  })

  it('is begun anew when the ledger is in another era than a store that sells', async () => {
    const { era } = await ledgerSale()
    await o1.ledger.beginEra('demo', era)
    await go(1400, [n1, n2])
    expect((await demo()).version.era).toBe((await ledgerSale()).era)
  })

  it('behind a node: stays so after that node has died too, and with another process', async () => {
    n1.seen = { era: n1.seen.era, seq: n1.seen.seq + 50 }
    n1.report()
    world.restartStore()
    await go(400, [])
    n1.die()
    n2.die()
    const o2 = another()
    await go(4000, [])
    world.advance(2000)
    await go(4000, [], o2)
    expect((await demo()).certified).toBe(false)
    expect(reasons(o2)).toContain('behind the mark')
  })

  it('an older copy restored in place, under the same fingerprint, is found by the mark', async () => {
    const copy = structuredClone(world.record('demo'))
    await n1.sell('o1', 'alice')
    await go(400, [n1, n2])
    n1.die()
    n2.die()
    world.stock.saleRecords.set('demo', copy)
    expect((await demo()).certified).toBe(true)
    await go(200, [])
    expect((await demo()).certified).toBe(false)
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind the mark')
  })

  it('an older copy that takes its place after it was judged, and before it is opened, is not opened', async () => {
    const copy = structuredClone(world.record('demo'))
    await n1.sell('o1', 'alice')
    await go(400, [n1, n2])
    const { ledger } = o1
    const beginEra = ledger.beginEra.bind(ledger)
    vi.spyOn(ledger, 'beginEra').mockImplementationOnce((...args) => {
      world.stock.saleRecords.set('demo', copy)
      return beginEra(...args)
    })
    world.restartStore()
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind the mark')
  })

  it('that lacks the nodes as well waits for one to come, who may know more', async () => {
    world = testWorld()
    o1 = world.process
    await world.port.fleet.certify(0, 1)
    await post('/admin/sales', SALE_FILE)
    await post('/admin/sales/demo/open')
    await go(1000, [])
    const { version } = await demo()
    world.restartStore()
    await go(600, [])
    expect(reasons()).toBe('no node has answered yet')
    n1 = new TestNode(world, 'n1')
    n1.seen = { era: version.era, seq: version.seq + 9 }
    n1.report()
    await world.port.fleet.certify(1, 2)
    await n1.joinFleet()
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind node n1')
  })

  it('is recognised by a process that only has the ledger’s watermark', async () => {
    await n1.sell('o1', 'alice')
    await go(200, [n1, n2])
    await o1.marks.flush()
    n1.die()
    n2.die()
    world.record('demo').seq -= 1
    world.restartStore()
    world.advance(2000)
    const o2 = another()
    await go(2000, [], o2)
    expect(reasons(o2)).toContain('behind the mark')
  })

  it('that has lost orders of the ledger stays closed, however far it has gone on', async () => {
    await n1.sell('o1', 'alice')
    await take('o1')
    const record = world.record('demo')
    record.orders.delete('o1')
    const fare = record.fares.get('second')
    if (fare !== undefined) record.fares.set('second', { ...fare, held: fare.held - 1, remaining: fare.remaining + 1 })
    await n2.sell('o2', 'bob')
    world.restartStore()
    await go(3000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('o1 among them')
  })

  it('without the sale at all: it is told, cannot be recovered, and is not made anew by accident', async () => {
    world.stock.saleRecords.delete('demo')
    await go(400, [])
    expect(o1.recovery.caseOf('demo')?.reasons).toEqual(['the store has no record of this sale'])
    await expect(post('/admin/sales/demo/recover')).rejects.toMatchObject({ code: 'no_record' })
    await expect(post('/admin/sales', SALE_FILE)).rejects.toMatchObject({ code: 'sale_lost' })
  })

  it('opened by the operator with what it holds, has the ledger’s state and stock', async () => {
    const copy = structuredClone(world.record('demo'))
    await post('/admin/sales/demo/stock', JSON.stringify({ fareId: 'second', stock: 130 }))
    await post('/admin/sales/demo/pause')
    await go(1200, [n1, n2])
    world.stock.saleRecords.set('demo', copy)
    world.restartStore()
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(await post('/admin/sales/demo/recover')).toMatchObject({ body: { outcome: 'changed' } })
    expect(await demo()).toMatchObject({ certified: true, state: 'paused', fares: [{ stock: 130, remaining: 130 }] })
  })
})
