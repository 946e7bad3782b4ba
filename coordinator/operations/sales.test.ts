import { beforeEach, describe, expect, it } from 'vitest'
import { showOrder } from './orders.ts'
import { changeSale, createSale, differencesOf, listSales } from './sales.ts'
import { status } from './status.ts'
import { DEMO, TestNode, testWorld, type TestWorld } from './test-world.ts'

const { orderIdSecret: _, ...FILE } = DEMO
let world: TestWorld
let era = 1
const allot = async () => ++era

beforeEach(async () => {
  era = 1
  world = testWorld()
  await world.port.fleet.certify(0, 1)
})

describe('createSale', () => {
  it('makes a draft with a secret of its own, and lists it', async () => {
    const result = await createSale(world, FILE, allot)
    expect(result).toMatchObject({ outcome: 'created', notHeardBy: [], sale: { id: 'demo', state: 'draft' } })
    expect(world.record('demo').definition.orderIdSecret).toMatch(/^[0-9a-f]{64}$/)
    expect(JSON.stringify(result)).not.toContain(world.record('demo').definition.orderIdSecret)
    expect((await listSales(world)).items).toHaveLength(1)
  })

  it('makes it scheduled when it has an hour', async () => {
    const result = await createSale(world, { ...FILE, opensAtMs: world.monotonicMs() + 60_000 }, allot)
    expect(result.sale.state).toBe('scheduled')
  })

  it('leaves an equal one as it is, state and era included', async () => {
    await createSale(world, FILE, allot)
    await changeSale(world, 'demo', 'open')
    const again = await createSale(world, FILE, allot)
    expect(again).toMatchObject({ outcome: 'unchanged', sale: { state: 'open' } })
    expect(era).toBe(2)
  })

  it('refuses a different one and names the differences', async () => {
    await createSale(world, FILE, allot)
    await expect(createSale(world, { ...FILE, limitPerBuyer: 3 }, allot)).rejects.toMatchObject({
      code: 'sale_differs',
      details: { differences: [{ path: 'limitPerBuyer', stored: 2, file: 3 }] },
    })
  })

  it('finishes what a crash left out: made, but not listed', async () => {
    await world.port.sales.create(DEMO, 2)
    expect((await createSale(world, FILE, allot)).outcome).toBe('unchanged')
    expect((await world.port.fleet.read()).saleIds).toEqual(['demo'])
  })
})

describe('changeSale', () => {
  let node: TestNode

  beforeEach(async () => {
    await world.port.sales.create(DEMO, 2)
    await world.port.fleet.addSale('demo')
    node = new TestNode(world, 'n1')
    await node.joinFleet()
    await node.join()
  })

  it('answers when every live node has heard of it', async () => {
    const startMs = world.monotonicMs()
    world.whileWaiting = async () => void (await node.heartbeat())
    expect(await changeSale(world, 'demo', 'open')).toMatchObject({ outcome: 'changed', notHeardBy: [] })
    expect(world.monotonicMs() - startMs).toBe(100)
  })

  it('names a node that lives and has not heard, after two seconds', async () => {
    const startMs = world.monotonicMs()
    world.whileWaiting = async () => void (await world.port.fleet.heartbeat({ id: 'n1', epoch: 1 }))
    expect((await changeSale(world, 'demo', 'open')).notHeardBy).toEqual(['n1'])
    expect(world.monotonicMs() - startMs).toBe(2000)
  })

  it('does not wait for the dead', async () => {
    expect((await changeSale(world, 'demo', 'open')).notHeardBy).toEqual([])
    expect(await changeSale(world, 'demo', 'open')).toMatchObject({ outcome: 'unchanged' })
  })

  it('pauses, resumes, closes, and refuses to open what is closed', async () => {
    const states = []
    for (const change of ['open', 'pause', 'open', 'close'] as const) {
      states.push((await changeSale(world, 'demo', change)).sale.state)
    }
    expect(states).toEqual(['open', 'paused', 'open', 'closed'])
    await expect(changeSale(world, 'demo', 'open')).rejects.toMatchObject({ code: 'sale_closed' })
  })

  it('changes nothing while the sale is recovering', async () => {
    world.restartStore()
    await expect(changeSale(world, 'demo', 'open')).rejects.toMatchObject({ code: 'recovering' })
  })
})

describe('status', () => {
  it('is well with a leader, and says what is wrong', async () => {
    await world.port.sales.create(DEMO, 2)
    await world.port.fleet.addSale('demo')
    const known = { cases: [], saleIds: ['lost'], declaredDurable: false }
    expect((await status(world, { ...known, saleIds: [] })).problems).toEqual([
      'no coordinator leads: deaths are not declared and nothing is reopened',
    ])
    await world.port.fleet.lead({ id: 'c1', adminUrl: 'http://c1' }, 1000)
    expect(await status(world, { ...known, saleIds: [] })).toMatchObject({ ok: true, leader: { id: 'c1' } })
    const view = await status(world, known)
    expect(view.ok).toBe(false)
    expect(view.sales[1]).toMatchObject({ id: 'lost', recovering: true, version: null })
  })
})

describe('showOrder', () => {
  it('finds an order in whichever sale has it', async () => {
    await world.port.sales.create(DEMO, 2)
    await world.port.fleet.addSale('demo')
    await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
    const node = new TestNode(world, 'n1')
    await node.join()
    await node.sell('o1', 'alice', 2)
    expect(await showOrder(world, 'o1')).toMatchObject({
      id: 'o1',
      saleId: 'demo',
      buyer: 'alice',
      state: 'held',
      total: { amount: 200, currency: 'CNY' },
    })
    await expect(showOrder(world, 'o2')).rejects.toMatchObject({ code: 'no_such_order' })
  })
})

describe('differencesOf', () => {
  it('goes to the place', () => {
    expect(differencesOf({ a: [{ b: 1 }] }, { a: [{ b: 2 }, { b: 3 }] })).toEqual([
      { path: 'a[0].b', stored: 1, file: 2 },
      { path: 'a[1]', stored: null, file: { b: 3 } },
    ])
    expect(differencesOf({ a: null }, { a: 5 })).toEqual([{ path: 'a', stored: null, file: 5 }])
  })
})
