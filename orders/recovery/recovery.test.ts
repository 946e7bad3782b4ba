/** Recovery over store and ledger in memory: two orders processes, two nodes, clocks moved by hand. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { DEMO_FILE, TestNode, testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import type { AdminAnswer } from '../../http/admin-server.ts'
import { SILENT } from '../../runtime/log.ts'
import type { Order, Version } from '../../stock/core/words.ts'
import { StoreError } from '../../stock/port.ts'
import { inMemoryOrders, type InMemoryOrders } from '../testing/in-memory-orders.ts'
import { RIVAL_SILENT_MS_MAX } from './rival.ts'

const NO_QUERY = new URLSearchParams()

let world: TestWorld
let o1: InMemoryOrders
let n1: TestNode
let n2: TestNode

/** A store and an orders process, with the sale open and no node yet. */
async function beginWorld(): Promise<void> {
  world = testWorld()
  o1 = world.process
  await world.port.fleet.certify(0, 1)
  await post('/admin/sales', DEMO_FILE)
  await post('/admin/sales/demo/open')
}

beforeEach(async () => {
  await beginWorld()
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
  const { port, rules, monotonicMs, askNode, union } = world
  return inMemoryOrders({ port, rules, nowMs: monotonicMs, askNode, union, shared: o1 })
}

function anotherWithLedgerAck(): InMemoryOrders {
  const { port, rules, monotonicMs, askNode, union } = world
  return inMemoryOrders({
    port,
    rules,
    nowMs: monotonicMs,
    askNode,
    union: { ...union, allInLedger: true },
    shared: o1,
  })
}

function reasons(process = o1): string | undefined {
  return process.recovery.caseOf('demo')?.reasons.join()
}

/** The pipeline's cursor. */
async function takenUpTo(seq: number): Promise<void> {
  const { taken, era } = await ledgerSale()
  const upTo = { era, seq }
  expect(await o1.ledger.take('demo', { storeEra: era, after: taken, upTo, orders: [] })).toMatchObject({
    outcome: 'taken',
  })
}

async function ordersInStore(): Promise<string[]> {
  const { orders } = await world.port.sales.scanOrders('demo', '')
  return orders.map(({ id, state, reason }) => `${id} ${reason ?? state}`).toSorted()
}

/** To a fleet that began anew. */
async function n1Comes(): Promise<void> {
  await world.port.fleet.certify(1, 2)
  await n1.joinFleet()
  await go(2000, [])
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

  it('is left alone by a process that has asked the nodes for long, when another has opened it meanwhile', async () => {
    for (const node of [n1, n2]) node.keepJournal()
    await takenUpTo((await demo()).version.seq)
    const { port, rules, monotonicMs, askNode, union } = world
    let answer: (() => void) | undefined
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const askSlowly = async (adminUrl: string) => answered.then(() => askNode(adminUrl))
    const o2 = inMemoryOrders({ port, rules, nowMs: monotonicMs, askNode: askSlowly, union, shared: o1 })
    await o2.round()
    world.restartStore()
    const looking = o2.round()
    await go(600, [])
    const { certified, version } = await demo()
    expect(certified).toBe(true)
    answer?.()
    await looking
    expect(await demo()).toMatchObject({ certified, version, uniting: null })
    expect(o2.recovery.recovered()).toEqual([])
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

  it('that lacks a node which this process knew is judged by that node, too', async () => {
    n1.seen = { era: n1.seen.era, seq: n1.seen.seq + 9 }
    n1.report()
    world.stock.fleetRecord.nodes.delete('n1')
    world.restartStore()
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind node n1')
  })

  it('and was called by a node that is known to it alone, is not opened until that node is heard', async () => {
    const stranger = new TestNode(world, 'n3')
    stranger.seen = { era: n1.seen.era, seq: n1.seen.seq + 3 }
    world.restartStore()
    await expect(stranger.join()).rejects.toThrow('recovering')
    await go(4000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind a caller at')
    expect(reasons()).toContain('none of the nodes that answer')
  })

  it('is not opened when such a call comes after it was judged', async () => {
    const stranger = new TestNode(world, 'n3')
    stranger.seen = { era: n1.seen.era, seq: n1.seen.seq + 3 }
    const { ledger } = o1
    const beginEra = ledger.beginEra.bind(ledger)
    vi.spyOn(ledger, 'beginEra').mockImplementationOnce(async (...args) => {
      await expect(stranger.join()).rejects.toThrow('recovering')
      return beginEra(...args)
    })
    world.restartStore()
    await go(4000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('behind a caller at')
  })

  it('is not opened by the operator either when such a call comes meanwhile; by the next decision it is', async () => {
    const stranger = new TestNode(world, 'n3')
    stranger.seen = { era: n1.seen.era, seq: n1.seen.seq + 30 }
    world.restartStore()
    const { ledger } = o1
    const beginEra = ledger.beginEra.bind(ledger)
    vi.spyOn(ledger, 'beginEra').mockImplementationOnce(async (...args) => {
      await expect(stranger.join()).rejects.toThrow('recovering')
      return beginEra(...args)
    })
    await expect(post('/admin/sales/demo/recover')).rejects.toThrow('look again')
    expect((await demo()).certified).toBe(false)
    expect(await post('/admin/sales/demo/recover')).toMatchObject({ body: { outcome: 'changed' } })
    const { certified, version, sought } = await demo()
    expect(certified).toBe(true)
    expect(version.seq).toBeGreaterThan(stranger.seen.seq)
    expect(sought).toEqual({ era: 0, seq: 0 })
  })

  describe('and lacks the nodes as well', () => {
    let version: Version

    beforeEach(async () => {
      await beginWorld()
      await go(1000, [])
      version = (await demo()).version
      n1 = new TestNode(world, 'n1')
      n1.seen = { era: version.era, seq: version.seq + 9 }
      n1.report()
    })

    it('waits for one to come, who may know more', async () => {
      world.restartStore()
      await go(600, [])
      expect(reasons()).toBe('no node that has seen the sale has answered yet')
      await n1Comes()
      expect((await demo()).certified).toBe(false)
      expect(reasons()).toContain('behind node n1')
    })

    it('is not content with one that has never been let into the sale', async () => {
      n2 = new TestNode(world, 'n2')
      n2.report()
      await n2.joinFleet()
      world.restartStore()
      await go(600, [])
      expect(reasons()).toBe('no node that has seen the sale has answered yet')
      await n1Comes()
      expect(reasons()).toContain('behind node n1')
    })

    it('does not count the time in which the store stood still, and nobody could come', async () => {
      world.restartStore()
      await go(400, [])
      world.advance(5000)
      await go(200, [])
      expect((await demo()).certified).toBe(false)
      await n1Comes()
      expect(reasons()).toContain('behind node n1')
    })

    it('waits anew when the store begins yet another life', async () => {
      world.restartStore()
      await go(600, [])
      world.restartStore()
      await go(800, [])
      expect((await demo()).certified).toBe(false)
      await n1Comes()
      expect(reasons()).toContain('behind node n1')
    })
  })

  describe('and has forgotten a fate that it was told', () => {
    let copy: ReturnType<TestWorld['record']>

    beforeEach(async () => {
      for (const node of [n1, n2]) node.keepJournal()
      await n1.sell('o1', 'alice')
      await take('o1')
      await takenUpTo((await demo()).version.seq)
      await go(1200, [n1, n2])
      copy = structuredClone(world.record('demo'))
    })

    it('is told it again: nobody but the orders processes had heard of it', async () => {
      expect(await post('/admin/orders/o1/cancel')).toMatchObject({ status: 200 })
      expect(await ordersInStore()).toEqual(['o1 cancelled'])
      world.stock.saleRecords.set('demo', copy)
      world.restartStore()
      await go(3000, [])
      expect(await demo()).toMatchObject({ certified: true, fares: [{ held: 0, remaining: 100 }] })
      expect(await ordersInStore()).toEqual(['o1 cancelled'])
    })

    it('also where the ledger hears last that the store knew it, when that store was judged', async () => {
      const { ledger } = o1
      const markSettled = ledger.markSettled.bind(ledger)
      let mark: (() => Promise<void>) | undefined
      vi.spyOn(ledger, 'markSettled').mockImplementationOnce(async (...args) => {
        mark = () => markSettled(...args)
      })
      await post('/admin/orders/o1/cancel')
      world.stock.saleRecords.set('demo', copy)
      world.restartStore()
      const beginEra = ledger.beginEra.bind(ledger)
      vi.spyOn(ledger, 'beginEra').mockImplementationOnce(async (...args) => {
        await mark?.()
        return beginEra(...args)
      })
      await go(3000, [])
      expect((await demo()).certified).toBe(true)
      expect(await ordersInStore()).toEqual(['o1 cancelled'])
    })

    it('and is not believed to know it by what it said before the era moved', async () => {
      const { version } = await demo()
      await o1.ledger.decide([{ orderId: 'o1', fate: { state: 'released', reason: 'cancelled' } }], null)
      world.restartStore()
      await go(600, [])
      const told = { saleId: 'demo', version: { era: version.era, seq: version.seq + 1 } }
      await o1.ledger.markSettled([{ orderId: 'o1', fate: { state: 'released', reason: 'cancelled' } }], told)
      expect((await o1.ledger.unsettled('demo', 10)).map(({ id }) => id)).toEqual(['o1'])
    })
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

  it('without the sale at all: it is told, not made anew by accident, and the operator may open it', async () => {
    await n1.sell('o1', 'alice')
    await n1.sell('o2', 'bob', 2)
    await take('o1')
    world.stock.saleRecords.delete('demo')
    await go(400, [])
    expect(reasons()).toContain('the store has no record of this sale')
    await expect(post('/admin/sales', DEMO_FILE)).rejects.toMatchObject({ code: 'sale_lost' })
    expect(await post('/admin/sales/demo/recover')).toMatchObject({ body: { outcome: 'changed' } })
    // What the ledger had is back; the other was told by a node that keeps no journal.
    expect(await demo()).toMatchObject({ certified: true, state: 'open', fares: [{ held: 1, remaining: 99 }] })
    expect(o1.recovery.recovered().at(-1)).toMatchObject({
      how: 'operator',
      reasserted: 1,
      unaccounted: [expect.stringContaining('node n1 has begun anew'), expect.stringContaining('node n2')],
    })
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

/** Five tickets before the copy, and after it one that the ledger has, one that only its node told. */
async function sellAroundACopy(): Promise<ReturnType<typeof world.record>> {
  await n1.sell('o1', 'alice', 2)
  await n2.sell('o2', 'bob')
  await take('o1', 'o2')
  const copy = structuredClone(world.record('demo'))
  await n1.sell('o3', 'carol', 2)
  await n2.sell('o4', 'dave')
  await take('o3')
  await takenUpTo((await demo()).version.seq - 1)
  return copy
}

/** The call is carried out. */
function loseAnswerTo(call: 'openUnion' | 'certify'): void {
  const { sales } = world.port
  const carryOut = sales[call].bind(sales) as (...given: unknown[]) => Promise<never>
  vi.spyOn(sales, call).mockImplementationOnce(async (...given: unknown[]) => {
    await carryOut(...given)
    throw new StoreError('unreachable', 'unknown', 'connection lost')
  })
}

/** That only their node told, which keeps no journal. */
async function loseOrders(): Promise<void> {
  await n1.sell('o1', 'alice')
  await go(200, [n1, n2])
  const copy = structuredClone(world.record('demo'))
  await n2.sell('o2', 'bob', 2)
  await go(200, [n1, n2])
  world.stock.saleRecords.set('demo', copy)
  world.restartStore()
  await go(1000, [])
}

describe('a store that lost orders', () => {
  it('has them back from the ledger and from what nodes told, by itself, and its counters follow', async () => {
    for (const node of [n1, n2]) node.keepJournal()
    await takenUpTo((await demo()).version.seq)
    const copy = await sellAroundACopy()
    const { version } = await demo()
    await go(200, [n1, n2])
    world.stock.saleRecords.set('demo', copy)
    world.restartStore()
    await go(400, [])
    const after = await demo()
    expect(after).toMatchObject({ certified: true, uniting: null, state: 'open', fares: [{ held: 6, remaining: 94 }] })
    expect(after.version.era).toBe((await ledgerSale()).era)
    expect(after.version.era).toBeGreaterThan(version.era)
    expect(after.version.seq).toBeGreaterThan(version.seq)
    expect(await ordersInStore()).toEqual(['o1 held', 'o2 held', 'o3 held', 'o4 held'])
    expect(await world.port.sales.readBuyer('demo', 'carol')).toMatchObject({ tickets: 2, orderIds: ['o3'] })
    expect(await o1.ledger.sums('demo')).toMatchObject([{ held: 6, paid: 0 }])
    expect(o1.recovery.recovered()).toMatchObject([
      { how: 'union', reasserted: 2, fromJournals: 1, conflicts: 0, unaccounted: [] },
    ])
    expect(o1.recovery.recovered()[0]?.fares).toEqual([{ fareId: 'second', before: 6, now: 6 }])
    // Once is enough.
    await go(2000, [])
    expect((await demo()).version).toEqual(after.version)
    await n1.join()
    expect(await n1.sell('o3', 'carol', 2)).toBe('replayed')
    expect(await n1.sell('o5', 'carol')).toBe('limit_reached')
  })

  it('has the ledger’s wish where one key was used for another in the history that it has', async () => {
    await n1.sell('o1', 'alice', 2)
    await take('o1')
    const record = world.record('demo')
    const [order, fare, buyer] = [record.orders.get('o1'), record.fares.get('second'), record.buyers.get('alice')]
    if (order === undefined || fare === undefined || buyer === undefined) throw new Error('nothing was sold')
    record.orders.set('o1', { ...order, quantity: 1 })
    Object.assign(fare, { held: 1, remaining: 99 })
    buyer.tickets = 1
    world.restartStore()
    await post('/admin/sales/demo/recover')
    expect(await demo()).toMatchObject({ certified: true, fares: [{ held: 2, remaining: 98 }] })
    expect(await world.port.sales.readOrders('demo', ['o1'])).toMatchObject([{ quantity: 2, state: 'held' }])
    expect(await world.port.sales.readBuyer('demo', 'alice')).toMatchObject({ tickets: 2 })
  })

  it('stays closed when a node that sold is gone with its journal, and says which', async () => {
    for (const node of [n1, n2]) node.keepJournal()
    await takenUpTo((await demo()).version.seq)
    const copy = await sellAroundACopy()
    await go(200, [n1, n2])
    n2.die()
    world.stock.saleRecords.set('demo', copy)
    world.restartStore()
    await go(2000, [])
    expect((await demo()).certified).toBe(false)
    expect(reasons()).toContain('node n2 does not answer for what it told after')
    expect(reasons()).not.toContain('node n1 does not')
    // The operator's decision brings back what is known, and says what it cannot know.
    await post('/admin/sales/demo/recover')
    expect(await ordersInStore()).toEqual(['o1 held', 'o2 held', 'o3 held'])
    expect(await demo()).toMatchObject({ certified: true, fares: [{ held: 5, remaining: 95 }] })
    expect(o1.recovery.recovered().at(-1)).toMatchObject({
      how: 'operator',
      unaccounted: [expect.stringContaining('node n2')],
      fares: [{ fareId: 'second', before: 6, now: 5 }],
    })
  })

  it('stays closed to a process that did not see it sell', async () => {
    for (const node of [n1, n2]) node.keepJournal()
    await takenUpTo((await demo()).version.seq)
    const copy = await sellAroundACopy()
    await go(1200, [n1, n2])
    world.stock.saleRecords.set('demo', copy)
    world.restartStore()
    const o2 = another()
    await go(3000, [], o2)
    expect((await demo()).certified).toBe(false)
    expect(reasons(o2)).toContain('did not see the sale sell')
  })

  describe('and was opened, with no answer', () => {
    const openings = { union: 'openUnion', whole: 'certify' } as const

    it.each(['union', 'whole'] as const)('says so once it sees it sell: %s', async (how) => {
      for (const node of [n1, n2]) node.keepJournal()
      await takenUpTo((await demo()).version.seq)
      loseAnswerTo(openings[how])
      const copy = how === 'union' ? await sellAroundACopy() : null
      await go(200, [n1, n2])
      if (copy !== null) world.stock.saleRecords.set('demo', copy)
      world.restartStore()
      await go(2000, [])
      expect((await demo()).certified).toBe(true)
      expect(o1.recovery.recovered()).toMatchObject([{ how, reasserted: how === 'union' ? 2 : 0 }])
      expect(o1.recovery.recovered()[0]?.forMs).toBeGreaterThan(0)
      expect(o1.recovery.withoutSaleMs).toBe(o1.recovery.recovered()[0]?.forMs)
    })

    it('also what may be lost, and when the store is in yet another life by then', async () => {
      await loseOrders()
      loseAnswerTo('openUnion')
      await expect(post('/admin/sales/demo/recover')).rejects.toMatchObject({ outcome: 'unknown' })
      world.restartStore()
      const o2 = another()
      await go(2000, [], o2)
      expect(o2.recovery.recovered()).toMatchObject([{ how: 'whole' }])
      await go(400, [])
      expect(o1.recovery.recovered()).toMatchObject([
        { how: 'operator', unaccounted: [expect.stringContaining('node n1'), expect.stringContaining('node n2')] },
      ])
    })

    it('has told its operator of what may be lost before it was opened', async () => {
      await loseOrders()
      const alarm = vi.spyOn(SILENT, 'error')
      const opening = vi.spyOn(world.port.sales, 'openUnion').mockImplementationOnce(() => new Promise(() => {}))
      void post('/admin/sales/demo/recover')
      await vi.waitFor(() => expect(opening).toHaveBeenCalled())
      expect(alarm).toHaveBeenCalledWith(expect.anything(), 'ALARM: acknowledged orders may be lost')
      alarm.mockRestore()
    })

    it('is not taken for open when another process opened it', async () => {
      await loseOrders()
      vi.spyOn(world.port.sales, 'openUnion').mockRejectedValueOnce(new StoreError('unreachable', 'unknown', 'lost'))
      await expect(post('/admin/sales/demo/recover')).rejects.toMatchObject({ outcome: 'unknown' })
      await anotherWithLedgerAck().rounds.recover('demo')
      await go(400, [])
      expect((await demo()).certified).toBe(true)
      expect(o1.recovery.recovered()).toEqual([])
    })
  })

  it('with `ack: ledger` is opened by any process, without any node', async () => {
    await sellAroundACopy()
    await go(1200, [n1, n2])
    for (const node of [n1, n2]) node.die()
    world.stock.saleRecords.delete('demo')
    world.restartStore()
    world.advance(5000)
    const o2 = anotherWithLedgerAck()
    await go(3000, [], o2)
    expect(await demo()).toMatchObject({ certified: true, state: 'open', fares: [{ held: 5, remaining: 95 }] })
    expect(await ordersInStore()).toEqual(['o1 held', 'o2 held', 'o3 held'])
  })

  it('has the fates that the ledger committed, also where its copy knows another', async () => {
    await n1.sell('o1', 'alice', 2)
    await n1.sell('o2', 'bob')
    await take('o1', 'o2')
    const copy = structuredClone(world.record('demo'))
    await o1.ledger.decide([{ orderId: 'o1', fate: { state: 'paid' } }], null)
    await o1.ledger.decide([{ orderId: 'o2', fate: { state: 'released', reason: 'cancelled' } }], null)
    await go(1200, [n1, n2])
    world.stock.saleRecords.set('demo', copy)
    world.record('demo').seq -= 1
    world.restartStore()
    await go(3000, [], anotherWithLedgerAck())
    expect(await ordersInStore()).toEqual(['o1 paid', 'o2 cancelled'])
    expect(await demo()).toMatchObject({ certified: true, fares: [{ held: 0, paid: 2, remaining: 98 }] })
    expect(await world.port.sales.readBuyer('demo', 'bob')).toMatchObject({ tickets: 0 })
  })

  it('is never oversold by what comes back: what does not fit is released, in an alarm', async () => {
    await n1.sell('o1', 'alice', 2)
    await take('o1')
    const copy = structuredClone(world.record('demo'))
    await n1.sell('o3', 'carol', 2)
    await take('o3')
    await go(1200, [n1, n2])
    // The copy sold on, to others, before anybody noticed; the operator had lowered the stock to what was sold.
    world.stock.saleRecords.set('demo', copy)
    const node = new TestNode(world, 'n9')
    await node.join()
    expect(await node.sell('x1', 'xaver')).toBe('held')
    await o1.ledger.setStock('demo', 'second', 4)
    // It is not behind in number; the node whose change it has lost finds out.
    expect(await n1.heartbeat()).toEqual(['alive', 'recovering'])
    const o2 = anotherWithLedgerAck()
    await go(3000, [], o2)
    expect(await ordersInStore()).toEqual(['o1 held', 'o3 held', 'x1 conflict'])
    expect(await demo()).toMatchObject({ certified: true, fares: [{ stock: 4, held: 4, remaining: 0 }] })
    expect(o2.recovery.recovered().at(-1)).toMatchObject({ conflicts: 1 })
  })

  it('stays paused or closed', async () => {
    await n1.sell('o1', 'alice')
    await take('o1')
    const copy = structuredClone(world.record('demo'))
    await post('/admin/sales/demo/pause')
    await go(1200, [n1, n2])
    world.stock.saleRecords.set('demo', copy)
    world.restartStore()
    await go(3000, [], anotherWithLedgerAck())
    expect(await demo()).toMatchObject({ certified: true, state: 'paused', fares: [{ held: 1 }] })
  })

  it('may be put together by two at once, and again after a crash half way', async () => {
    await sellAroundACopy()
    await go(1200, [n1, n2])
    world.stock.saleRecords.delete('demo')
    world.restartStore()
    const processes = [anotherWithLedgerAck(), anotherWithLedgerAck()]
    // One that died after its first steps.
    const { era, definition } = await ledgerSale()
    await o1.ledger.beginEra('demo', era)
    await world.port.sales.beginUnion(definition, era + 1)
    expect(await world.port.sales.certify('demo', { era: 0, seq: 0 }, era + 9, 0)).toMatchObject({
      outcome: 'lost_race',
    })
    // It is waited for as long as it might only be slow.
    for (let passedMs = 0; passedMs < RIVAL_SILENT_MS_MAX + 4000; passedMs += 200) {
      world.advance(200)
      await Promise.all(processes.map((one) => one.round().catch(() => {})))
    }
    const after = await demo()
    expect(after).toMatchObject({ certified: true, uniting: null, fares: [{ held: 5, remaining: 95 }] })
    expect(after.version.era).toBe((await ledgerSale()).era)
    // One that began before and wakes now changes nothing.
    expect(await world.port.sales.beginUnion(definition, after.version.era)).toMatchObject({ outcome: 'lost_race' })
    expect(await world.port.sales.reassert('demo', era + 1, [])).toEqual({ outcome: 'recovering' })
    expect((await demo()).certified).toBe(true)
  })
})
