import { beforeEach, describe, expect, it } from 'vitest'
import type { Order } from '../../stock/core/words.ts'
import { audit } from './audit.ts'
import { quota } from './quota.ts'
import { faultsOf, Recount, stateAsOf } from './recount.ts'
import { changeSale } from './sales.ts'
import { status } from './status.ts'
import type { World } from './world.ts'
import { adminUrlOf, damageOrder, DEMO, TestNode, testWorld, type TestWorld } from './testing/test-world.ts'

let world: TestWorld
let n1: TestNode
let n2: TestNode

beforeEach(async () => {
  world = testWorld()
  await world.port.fleet.certify(0, 1)
  await world.port.sales.create(DEMO, 2)
  await world.port.fleet.addSale('demo')
  await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
  await world.process.acts.adopt(['demo'])
  n1 = new TestNode(world, 'n1')
  n2 = new TestNode(world, 'n2')
  for (const node of [n1, n2]) {
    await node.joinFleet()
    await node.join()
  }
  await n1.sell('o1', 'alice')
  await n1.sell('o2', 'bob', 2)
  await n2.sell('o3', 'carol')
  await n2.sell('o4', 'dave')
  const { version } = await readDemo()
  const atMs = world.monotonicMs()
  await world.port.sales.settle('demo', [{ orderId: 'o3', fate: { state: 'paid' }, atMs }], version)
  const released = { state: 'released', reason: 'expired' } as const
  await world.port.sales.settle('demo', [{ orderId: 'o4', fate: released, atMs }], version)
  await n1.heartbeat()
  await n2.heartbeat()
  await take()
})

/** Brings every order into the ledger, as the pipeline does. */
async function take(): Promise<void> {
  const { era } = world.record('demo')
  await world.process.ledger.ensure('demo', era, [...world.record('demo').orders.values()])
}

async function readDemo() {
  const snapshot = await world.port.sales.read('demo', world.rules)
  if (snapshot === null) throw new Error('no sale')
  return snapshot
}

async function problems(): Promise<string[]> {
  const report = await audit(world, 'demo')
  expect(report.ok).toBe(report.problems.length === 0)
  return report.problems.map(({ rule, witness }) => `${rule}: ${witness}`)
}

function fare() {
  const record = world.record('demo').fares.get('second')
  if (record === undefined) throw new Error('no fare')
  return record
}

describe('audit of a whole sale', () => {
  it('says so, in the documented shape', async () => {
    const report = await audit(world, 'demo')
    expect(report).toEqual({
      saleId: 'demo',
      at: '2027-01-15T08:00:00.000Z',
      fares: [
        {
          id: 'second',
          stock: 100,
          remaining: 96,
          held: 3,
          paid: 1,
          countedHeld: 3,
          countedPaid: 1,
          ledgerHeld: 3,
          ledgerPaid: 1,
          ledgerPending: 0,
          diff: 0,
        },
      ],
      nodes: [
        { id: 'n1', epoch: 1, state: 'live', answered: true, era: 2, seq: 10, lastWriteSeq: 6, confirmed: 3 },
        { id: 'n2', epoch: 1, state: 'live', answered: true, era: 2, seq: 10, lastWriteSeq: 8, confirmed: 2 },
      ],
      buyersOverLimit: 0,
      problems: [],
      ok: true,
    })
  })

  it('holds while orders are made and settled between counters and records', async () => {
    const { sales } = world.port
    const busy = {
      ...world,
      port: {
        ...world.port,
        sales: {
          ...sales,
          async scanOrders(saleId: string, cursor: string) {
            await n1.sell('late', 'erin')
            const { version } = await readDemo()
            const fate = { state: 'released', reason: 'cancelled' } as const
            await world.process.ledger.decide([{ orderId: 'o1', fate }], null)
            await sales.settle('demo', [{ orderId: 'o1', fate, atMs: 1 }], version)
            return sales.scanOrders(saleId, cursor)
          },
        },
      },
    }
    world.whileWaiting = take
    const report = await audit(busy, 'demo')
    expect(report.problems).toEqual([])
    expect(report.fares[0]).toMatchObject({ held: 3, countedHeld: 3 })
  })

  it('holds while a node knows an older level of a fare that it did not touch, for a heartbeat', async () => {
    n1.remaining = 97
    n1.report()
    world.whileWaiting = async () => void (await n1.heartbeat())
    expect(await problems()).toEqual([])
  })

  it('holds after a node died, once the store has not heard of it for long enough', async () => {
    n1.die()
    world.whileWaiting = async () => void (await n2.heartbeat())
    const report = await audit(world, 'demo')
    expect(report.problems).toEqual([])
    expect(report.nodes[0]).toMatchObject({ id: 'n1', answered: false })
  })
})

describe('audit of the ledger', () => {
  it('holds when orders came back that the store had lost: they are no node’s', async () => {
    const { sales } = world.port
    const known = { fareId: 'second', quantity: 1, buyer: 'erin', createdAtMs: 1 }
    const items = [
      { orderId: 'lost1', fate: { state: 'paid' }, atMs: 2, known },
      {
        orderId: 'lost2',
        fate: { state: 'released', reason: 'expired' },
        atMs: 2,
        known: { ...known, buyer: 'frank' },
      },
    ] as const
    const before = await audit(world, 'demo')
    await sales.settle('demo', items, (await readDemo()).version)
    await n1.heartbeat()
    await n2.heartbeat()
    await take()
    const report = await audit(world, 'demo')
    expect(report.problems).toEqual([])
    expect(report.fares[0]?.paid).toBe((before.fares[0]?.paid ?? 0) + 1)
  })

  it('counts what is on its way in, or on its way back, as pending', async () => {
    await n1.sell('o5', 'erin', 2)
    await world.process.ledger.decide([{ orderId: 'o1', fate: { state: 'released', reason: 'cancelled' } }], null)
    world.whileWaiting = async () => {
      await take()
      const { version } = await readDemo()
      const fate = { state: 'released', reason: 'cancelled' } as const
      await world.port.sales.settle('demo', [{ orderId: 'o1', fate, atMs: 1 }], version)
      await n1.heartbeat()
      await n2.heartbeat()
    }
    const report = await audit(world, 'demo')
    expect(report.problems).toEqual([])
    expect(report.fares[0]).toMatchObject({
      countedHeld: 5,
      countedPaid: 1,
      ledgerHeld: 2,
      ledgerPaid: 1,
      ledgerPending: 3,
    })
  })

  it('finds an order that it never gets, one that the store has lost, and one that was changed, by name', async () => {
    await n1.sell('o5', 'erin', 2)
    damageOrder(world, 'o2', { quantity: 1 })
    await world.process.ledger.decide([{ orderId: 'o1', fate: { state: 'released', reason: 'cancelled' } }], null)
    world.record('demo').orders.delete('o3')
    world.process.ledger.order = () => Promise.reject(new Error('rows are asked for by pages, not one by one'))
    const startMs = world.monotonicMs()
    const found = await problems()
    expect(world.monotonicMs() - startMs).toBeGreaterThanOrEqual(10_000)
    expect(found.filter((problem) => problem.startsWith('ledger_order'))).toEqual([
      'ledger_order: order o1: the store says held, 1 of second, the ledger released, 1 of second',
      'ledger_order: order o2: the store says held, 1 of second, the ledger held, 2 of second',
      'ledger_order: order o3: the store says nothing, the ledger paid, 1 of second',
      'ledger_order: order o5: the store says held, 2 of second, the ledger nothing',
    ])
  })

  it('says so when nobody can be asked for it', async () => {
    world.isOrdersAway = true
    const report = await audit(world, 'demo')
    expect(report.fares[0]).toMatchObject({ ledgerHeld: null, ledgerPaid: null, ledgerPending: null })
    expect(report.problems).toEqual([
      { rule: 'ledger_away', witness: 'no orders process answers' },
      { rule: 'money_unknown', witness: 'payments could not be compared: no orders process answers' },
    ])
    expect(report.ok).toBe(false)
  })

  it('says so when it goes away in the middle: while orders are read again, or before the payments', async () => {
    await n1.sell('o5', 'erin', 2)
    world.whileWaiting = async () => void (world.isOrdersAway = true)
    expect((await problems()).map((problem) => problem.split(':')[0])).toEqual(['ledger_away', 'money_unknown'])

    world.isOrdersAway = false
    await take()
    const call: World['orders']['call'] = (method, path, body) => {
      world.isOrdersAway = path.endsWith('/money')
      return world.orders.call(method, path, body)
    }
    const report = await audit({ ...world, orders: { ...world.orders, call } }, 'demo')
    expect(report.fares[0]).toMatchObject({ ledgerHeld: 5, ledgerPaid: 1 })
    expect(report.problems.map(({ rule }) => rule)).toEqual(['money_unknown'])
  })

  it('finds counters that were changed past its triggers, though every row and every sum in the store agrees', async () => {
    const books = world.process.ledger
    const recount = books.recount.bind(books)
    books.recount = async (saleId) => (await recount(saleId)).map((fare) => ({ ...fare, held: 2, paid: 2 }))
    expect(await problems()).toEqual([
      "ledger_counter: fare second: the ledger's counter held is 2, its rows sum to 3",
      "ledger_counter: fare second: the ledger's counter paid is 2, its rows sum to 1",
    ])
  })

  it('finds a stock that it has otherwise than the store, and waits for one that is being changed', async () => {
    const acts = world.process.actLedger
    const turn = async () => (await acts.beginTurn('demo', 0)) ?? { saleId: 'demo', number: 0 }
    await acts.beginStock(await turn(), 'second', 120)
    world.whileWaiting = async () => {
      await world.process.acts.setStock('demo', 'second', 120)
      await n1.heartbeat()
      await n2.heartbeat()
    }
    expect((await audit(world, 'demo')).problems.map(({ rule }) => rule)).not.toContain('ledger_stock')

    await acts.followStock(await turn(), 'second', 99)
    world.whileWaiting = async () => {}
    const startMs = world.monotonicMs()
    expect(await problems()).toEqual(['ledger_stock: fare second: stock is 120 in the store, 99 in the ledger'])
    expect(world.monotonicMs() - startMs).toBeGreaterThanOrEqual(10_000)
  })
})

describe('audit finds', () => {
  it.each(['stock', 'remaining', 'held', 'paid'] as const)('counter %s changed by one, either way', async (counter) => {
    for (const by of [1, -1]) {
      fare()[counter] += by
      expect((await problems()).join('\n')).toMatch(/fare second/)
      fare()[counter] -= by
    }
    expect(await problems()).toEqual([])
  })

  it('two counters changed so that their sum still fits', async () => {
    fare().held -= 1
    fare().remaining += 1
    const found = await problems()
    expect(found).toContain('held_counter: fare second: counter held is 2, the order records sum to 3')
    expect(found.join()).toContain('remaining_counter: fare second: node n1 heard 96')
  })

  it('an order removed, and names it and its buyer', async () => {
    world.record('demo').orders.delete('o1')
    const found = await problems()
    expect(found).toContain('held_counter: fare second: counter held is 3, the order records sum to 2')
    expect(found.join()).toContain("buyer alice: the buyer's entry says 1 tickets, the order records say 0")
    expect(found.join()).toContain('the record is gone: o1')
  })

  it('an order removed that had been released, so that no sum differs', async () => {
    world.record('demo').orders.delete('o4')
    expect((await problems()).join()).toContain('the record is gone: o4')
  })

  it('an order removed together with its counter', async () => {
    world.record('demo').orders.delete('o1')
    fare().held -= 1
    fare().remaining += 1
    expect((await problems()).join()).toMatch(/alice.*confirmed_counter: the nodes' records sum to 5/s)
  })

  it('an order whose quantity was changed', async () => {
    damageOrder(world, 'o1', { quantity: 2 })
    expect((await problems()).join()).toMatch(/held_counter.*buyer alice.*orders: o1/s)
  })

  it('an order whose state was changed', async () => {
    damageOrder(world, 'o1', { state: 'paid' })
    expect(await problems()).toEqual([
      'order_record: order o1: paid, but at no seq',
      'ledger_order: order o1: the store says paid, 1 of second, the ledger held, 1 of second',
    ])
    damageOrder(world, 'o1', { state: 'paid', paidSeq: 7 })
    expect((await problems()).join()).toMatch(/held_counter.*paid_counter/s)
  })

  it('an order moved to another fare', async () => {
    damageOrder(world, 'o1', { fareId: 'first' })
    expect(await problems()).toContain('order_record: order o1: no fare first in this sale')
  })

  it('an order added by hand, and an entry without orders', async () => {
    const { orders, buyers } = world.record('demo')
    const order = orders.get('o1')
    if (order === undefined) throw new Error('no order')
    orders.set('o9', { ...order, id: 'o9', buyer: 'mallory' })
    buyers.set('ghost', { tickets: 0, orderIds: [] })
    expect((await problems()).join()).toMatch(/held_counter.*buyer mallory.*not in the entry: o9/s)
    expect((await problems()).join()).toContain('buyer ghost')
  })

  it("a buyer's tickets changed", async () => {
    const entry = world.record('demo').buyers.get('bob')
    if (entry !== undefined) entry.tickets -= 1
    expect((await problems()).join()).toContain('buyer bob')
  })

  it('a buyer over the limit', async () => {
    damageOrder(world, 'o2', { buyer: 'alice' })
    const report = await audit(world, 'demo')
    expect(report.buyersOverLimit).toBe(1)
    expect(report.problems).toContainEqual({
      rule: 'limit_per_buyer',
      witness: 'buyer alice: 3 tickets, the limit is 2',
    })
  })

  it('a store that is behind a node', async () => {
    n1.seen = { era: 2, seq: 11 }
    n1.report()
    expect(await problems()).toContain('store_behind_node: node n1 has seen era 2 seq 11, the store is at era 2 seq 10')
    n1.seen = { era: 2, seq: 10 }
    n1.lastWriteSeq = 7
    n1.report()
    expect((await problems()).join()).toContain('the store knows its changes up to 6')
  })

  it('a seq set back', async () => {
    world.record('demo').seq = 8
    expect((await problems()).join()).toContain('version: an order was changed at seq 10')
  })

  it('a node that lives for the store but does not answer', async () => {
    n1.die()
    world.whileWaiting = async () => {
      await world.port.fleet.heartbeat({ id: 'n1', epoch: 1 })
    }
    expect((await problems()).join()).toContain('node_silent: node n1')
  })
})

describe('stateAsOf', () => {
  const order = { createdSeq: 5, paidSeq: 8, releasedSeq: 12 }
  it.each([
    [4, null],
    [5, 'held'],
    [7, 'held'],
    [8, 'paid'],
    [11, 'paid'],
    [12, 'released'],
  ])('at seq %d it is %s', (seq, state) => {
    const whole = world.record('demo').orders.get('o1')
    if (whole === undefined) throw new Error('no order')
    expect(stateAsOf({ ...whole, ...order }, seq)).toBe(state)
  })

  it('counts an order once, however often it comes', () => {
    const order1 = world.record('demo').orders.get('o1')
    if (order1 === undefined) throw new Error('no order')
    expect(faultsOf(order1)).toEqual([])
    const recount = new Recount(100, ['second'])
    expect(recount.add([order1, order1]).size).toBe(1)
    expect(recount.fares.get('second')).toEqual({ held: 1, paid: 0 })
  })
})

describe('quota', () => {
  it("shows each live node's own numbers, and zero for a dead one", async () => {
    n2.die()
    world.advance(1600)
    await n1.heartbeat()
    const view = await quota(world, 'demo')
    expect(view).toMatchObject({ saleId: 'demo', version: { era: 2 } })
    expect(view.fares[0]?.nodes).toEqual([
      { id: 'n1', epoch: 1, weight: 1, allowance: 60, inFlight: 1, available: 59, buffer: 0, confirmed: 3 },
      { id: 'n2', epoch: 1, weight: 1, allowance: 0, inFlight: 0, available: 0, buffer: 0, confirmed: null },
    ])
  })

  it('of an unknown sale is refused by name', async () => {
    await expect(quota(world, 'nope')).rejects.toMatchObject({ code: 'no_such_sale' })
    await expect(changeSale(world, 'nope', 'open')).rejects.toMatchObject({ code: 'no_such_sale' })
  })
})

function toldAs(id: string): Order {
  const order = world.record('demo').orders.get('o1')
  if (order === undefined) throw new Error('no order')
  return { ...order, id, quantity: 2 }
}

function tell(node: TestNode, ids: readonly string[], era = 1): void {
  world.told.set(adminUrlOf(node.id), { era, orders: ids.map(toldAs) })
}

describe('what nodes told in an earlier life of the store', () => {
  it('is all there: nothing is said', async () => {
    tell(n1, ['o1', 'o2'])
    expect(await problems()).toEqual([])
  })

  it('is named where the store has no record of it', async () => {
    tell(n1, ['o1', 'lost1', 'lost2'])
    tell(n2, ['o3'])
    expect(await problems()).toEqual([
      'acknowledged_lost: node n1 told buyers of 2 orders (4 tickets) that were lost: lost1, lost2',
    ])
  })

  it('makes status not well, with the numbers, until the orders are there again', async () => {
    const view = async () => {
      await world.process.round()
      return status(world, { declaredDurable: false })
    }
    const { era } = world.record('demo')
    const lostText = /^sale demo lost 1 orders \(2 tickets\) of which n1 told buyers/
    tell(n1, ['lost1', 'o1'], era - 1)
    world.advance(1000)
    expect((await view()).sales[0]?.lost).toBeNull()
    // Not before it sells in the present era: until then it may tell more.
    tell(n1, ['lost1', 'o1'], era)
    world.advance(1000)
    const { ok, problems: found, sales } = await view()
    expect(ok).toBe(false)
    expect(found).toContainEqual(expect.stringMatching(lostText))
    expect(sales[0]?.lost).toMatchObject({ orders: 1, tickets: 2, nodes: ['n1'], orderIds: ['lost1'] })
    // What a node forgets is still lost.
    world.told.delete(adminUrlOf('n1'))
    world.advance(10_000)
    expect((await view()).problems).toContainEqual(expect.stringMatching(lostText))
    const { orders } = world.record('demo')
    orders.set('lost1', toldAs('lost1'))
    world.advance(10_000)
    expect((await view()).sales[0]?.lost).toBeNull()
  })
})

function claim(confirmedInEra: number, era = world.record('demo').era): void {
  const report = world.reports.get(adminUrlOf('n1'))
  if (report === undefined) throw new Error('n1 does not answer')
  const sales = report.sales.map((sale) => ({ ...sale, era, confirmedInEra }))
  world.reports.set(adminUrlOf('n1'), { ...report, sales })
}

describe('the count of what a node confirmed', () => {
  it("is at most what the store's record of it says, in one era", async () => {
    claim(3)
    expect(await problems()).toEqual([])
    claim(4)
    expect(await problems()).toEqual([
      "confirmed_counter: node n1 confirmed 4 tickets, the store's record of it says 3",
    ])
  })

  it('of an earlier era says nothing about the record of this one', async () => {
    claim(4, world.record('demo').era - 1)
    expect(await problems()).toEqual([])
  })
})
