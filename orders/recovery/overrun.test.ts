/** A store whose counters let more be sold than there is: it is counted anew, and if that does not help, it is paused. */
import { beforeEach, describe, expect, it } from 'vitest'
import { DEMO, TestNode, testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import { status } from '../../coordinator/operations/status.ts'
import { audit } from '../../coordinator/operations/audit.ts'
import { SaleWatch } from '../../coordinator/daemon/sale-watch.ts'
import type { InMemoryOrders } from '../testing/in-memory-orders.ts'

const STOCK = DEMO.fares[0]?.stock ?? 0

let world: TestWorld
let orders: InMemoryOrders
let node: TestNode

beforeEach(async () => {
  world = testWorld()
  orders = world.process
  await world.port.fleet.certify(0, 1)
  await world.port.sales.create(DEMO, 2)
  await world.port.fleet.addSale('demo')
  await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
  await orders.acts.adopt(['demo'])
  node = new TestNode(world, 'n1')
  await node.joinFleet()
  await node.join()
  for (let number = 0; number < STOCK - 1; number++) await node.sell(`o${number}`, `buyer-${number}`)
  await go(400)
  await take()
})

async function go(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 200) {
    world.advance(200)
    const [, outcome] = await node.heartbeat()
    if (outcome !== 'alive') await node.join().catch(() => {})
    await orders.round()
  }
}

async function sell(orderId: string, buyer: string): Promise<string> {
  world.advance(1)
  return node.sell(orderId, buyer)
}

/** As the pipeline does: orders into the ledger, and what became of them back. */
async function take(): Promise<readonly string[]> {
  const { era } = (await orders.ledger.sale('demo')) ?? { era: 0 }
  const result = await orders.ledger.ensure('demo', era, [...world.record('demo').orders.values()])
  const conflicts = result.outcome === 'ensured' ? result.conflicts : []
  if (conflicts.length > 0) orders.rounds.overran('demo', era)
  return conflicts
}

function forgetHolds(tickets: number): void {
  const fare = world.record('demo').fares.get('second')
  if (fare === undefined) throw new Error('no fare')
  fare.held -= tickets
  fare.remaining += tickets
}

async function demo() {
  const snapshot = await world.port.sales.read('demo', world.rules)
  if (snapshot === null) throw new Error('no sale')
  return snapshot
}

async function known() {
  return status(world, { declaredDurable: false })
}

const last = { fareId: 'second', stock: STOCK, remaining: 0, held: STOCK, paid: 0 }

describe('a store that was made to believe that it has more', () => {
  it('is counted anew with the first order that finds no room, and sells on what there is', async () => {
    forgetHolds(2)
    const era = world.record('demo').era
    expect(await sell('last', 'ann')).toBe('held')
    expect(await sell('extra', 'eve')).toBe('held')
    expect(await take()).toEqual(['extra'])
    await go(1000)
    const sale = await demo()
    expect(sale).toMatchObject({ certified: true, state: 'open', fares: [last] })
    expect(sale.version.era).toBeGreaterThan(era)
    expect(world.record('demo').orders.get('extra')).toMatchObject({ state: 'released', reason: 'conflict' })
    expect(await sell('more', 'mallory')).toBe('all_held')
    expect((await audit(world, 'demo')).problems).toEqual([])
    expect((await known()).sales[0]).toMatchObject({ recovered: { how: 'recount' }, recovering: false })
    expect((await known()).problems.filter((problem) => problem.includes('demo'))).toEqual([])

    // What comes back afterwards is sold, once.
    const fate = { state: 'released', reason: 'cancelled' } as const
    await orders.ledger.decide([{ orderId: 'last', fate }], null)
    await world.port.sales.settle('demo', [{ orderId: 'last', fate, atMs: 1 }], (await demo()).version)
    expect(await sell('again', 'bob')).toBe('held')
    expect(await sell('never', 'carol')).toBe('all_held')
    expect(await take()).toEqual([])
  })

  it('is not merely counted anew where a node knows more than it has: then it has lost orders', async () => {
    const copy = structuredClone(world.record('demo'))
    expect(await sell('lost', 'ann')).toBe('held')
    node.seen = { era: node.seen.era, seq: node.seen.seq + 9 }
    node.report()
    expect(await take()).toEqual([])
    world.stock.saleRecords.set('demo', copy)
    const other = new TestNode(world, 'n2')
    await other.join()
    world.advance(1)
    expect(await other.sell('last', 'bob')).toBe('held')
    expect(await take()).toEqual(['last'])
    for (let rounds = 0; rounds < 5; rounds++) {
      await orders.round()
      world.advance(200)
    }
    expect(orders.recovery.recovered()).toEqual([])
    expect(orders.recovery.caseOf('demo')?.reasons.join()).toContain('behind')
    expect((await demo()).certified).toBe(false)
  })

  it('is counted anew with an alarm where a node has made a change that it does not have', async () => {
    const copy = structuredClone(world.record('demo'))
    expect(await sell('lost', 'ann')).toBe('held')
    node.report()
    expect(await take()).toEqual([])
    world.stock.saleRecords.set('demo', copy)
    const other = new TestNode(world, 'n2')
    await other.join()
    world.advance(1)
    expect(await other.sell('last', 'bob')).toBe('held')
    expect(await take()).toEqual(['last'])
    await orders.round()
    const [recovered] = orders.recovery.recovered()
    expect(recovered).toMatchObject({
      how: 'recount',
      unaccounted: [expect.stringContaining('last change of node n1')],
    })
    expect(world.record('demo').orders.get('lost')).toMatchObject({ state: 'held' })
  })

  it('is paused when it sells too much again soon after, and the status says what to do until it is opened', async () => {
    const events: string[] = []
    const tell = (_fields: object, text: string) => void events.push(text)
    const log = { info: tell, warn: tell, error: tell }
    const watch = new SaleWatch({ orders: world.orders, leads: () => true, log })
    await watch.look()
    forgetHolds(2)
    await sell('last', 'ann')
    await sell('extra', 'eve')
    await take()
    await go(1000)
    await watch.look()
    forgetHolds(1)
    expect(await sell('more', 'mallory')).toBe('held')
    expect(await take()).toEqual(['more'])
    await go(1000)
    expect(world.record('demo').state).toBe('paused')
    expect((await orders.ledger.sale('demo'))?.state).toBe('paused')
    expect((await known()).problems.join()).toMatch(/sale demo was paused.*farebox audit demo.*farebox sale open demo/)
    expect(await sell('another', 'bob')).toBe('paused')
    await watch.look()
    await watch.look()
    expect(events).toEqual([
      expect.stringMatching(/^sale demo sold more than the ledger has room for: its counters were wrong/),
      expect.stringMatching(/^sale demo was paused: it sold too much again/),
    ])

    await orders.acts.change('demo', 'open')
    await go(400)
    expect((await known()).problems.join()).not.toContain('was paused')
  })

  it('is counted anew again when that is long ago', async () => {
    for (const again of [0, 1]) {
      forgetHolds(again === 0 ? 2 : 1)
      if (again === 0) await sell('last', 'ann')
      await sell(`extra${again}`, `eve${again}`)
      expect(await take()).toEqual([`extra${again}`])
      await go(1000)
      world.advance(11 * 60_000)
      await go(400)
    }
    expect(orders.recovery.recovered().map(({ how }) => how)).toEqual(['recount', 'recount'])
    expect(world.record('demo')).toMatchObject({ state: 'open' })
  })

  it('stays paused when a leader had paused it in the store alone, and is counted anew all the same', async () => {
    forgetHolds(2)
    await sell('last', 'ann')
    await sell('extra', 'eve')
    await world.port.sales.change('demo', 'pause', { era: 0, seq: 0 }, { lease: 1 })
    await take()
    await go(4000)
    expect(orders.recovery.recovered().map(({ how }) => how)).toEqual(['recount'])
    expect(await demo()).toMatchObject({ certified: true, state: 'paused', fares: [last] })
    expect((await orders.ledger.sale('demo'))?.state).toBe('paused')
  })

  it('stays paused when it is paused while it is counted', async () => {
    const { sales } = world.port
    const openUnion = sales.openUnion.bind(sales)
    Object.assign(sales, {
      // The store's half of pausing came before the union, the ledger's comes after the union has read the state.
      async openUnion(...given: Parameters<typeof openUnion>) {
        const turn = await orders.actLedger.beginTurn('demo', 0)
        if (turn !== null) await orders.actLedger.followState(turn, 'paused')
        return openUnion(...given)
      },
    })
    forgetHolds(2)
    await sell('last', 'ann')
    await sell('extra', 'eve')
    await take()
    await go(3000)
    expect([(await orders.ledger.sale('demo'))?.state, (await demo()).state]).toEqual(['paused', 'paused'])
  })

  it('is not counted anew while it has to be recovered: that comes first', async () => {
    forgetHolds(2)
    await sell('last', 'ann')
    await sell('extra', 'eve')
    world.restartStore()
    await take()
    await go(3000)
    expect(orders.recovery.recovered()).toEqual([])
    await orders.rounds.recover('demo')
    await go(800)
    expect((await demo()).fares).toEqual([expect.objectContaining(last)])
    expect(orders.recovery.recovered()[0]).toMatchObject({ how: 'operator' })
    expect((await audit(world, 'demo')).problems).toEqual([])
  })
})
