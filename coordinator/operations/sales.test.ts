import { beforeEach, describe, expect, it } from 'vitest'
import { showOrder } from './orders.ts'
import { changeSale, createSale, listSales, setStock, transfer } from './sales.ts'
import { status } from './status.ts'
import { DEMO, DEMO_FILE, TestNode, testWorld, type TestWorld } from './testing/test-world.ts'

let world: TestWorld

beforeEach(async () => {
  world = testWorld()
  await world.port.fleet.certify(0, 1)
})

describe('createSale', () => {
  it('makes a draft and lists it', async () => {
    const result = await createSale(world, DEMO_FILE)
    expect(result).toMatchObject({ outcome: 'created', notHeardBy: [], sale: { id: 'demo', state: 'draft' } })
    expect(JSON.stringify(result)).not.toContain(world.record('demo').definition.orderIdSecret)
    expect((await listSales(world)).items).toHaveLength(1)
  })

  it('leaves an equal one as it is', async () => {
    await createSale(world, DEMO_FILE)
    await changeSale(world, 'demo', 'open')
    expect(await createSale(world, DEMO_FILE)).toMatchObject({ outcome: 'unchanged', sale: { state: 'open' } })
  })
})

describe('changeSale', () => {
  let node: TestNode

  beforeEach(async () => {
    await createSale(world, DEMO_FILE)
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

  it('stops a sale also while no orders process answers, and says that it is half done', async () => {
    await changeSale(world, 'demo', 'open')
    world.isOrdersAway = true
    await expect(changeSale(world, 'demo', 'pause')).rejects.toMatchObject({ code: 'ledger_pending' })
    expect(world.record('demo').state).toBe('paused')
    await expect(changeSale(world, 'demo', 'open')).rejects.toMatchObject({ code: 'no_orders' })
    expect(world.record('demo').state).toBe('paused')
  })

  it('sets a stock, and carries what is left', async () => {
    expect(await setStock(world, 'demo', 'second', 120)).toMatchObject({ sale: { fares: [{ stock: 120 }] } })
    await createSale(world, DEMO_FILE.replace('id: demo', 'id: other'))
    const fareId = 'second'
    expect(await transfer(world, { saleId: 'demo', fareId }, { saleId: 'other', fareId })).toMatchObject({
      tickets: 120,
      sale: { id: 'other', fares: [{ stock: 220, remaining: 220 }] },
    })
    expect(world.record('demo').fares.get('second')).toMatchObject({ stock: 0, remaining: 0 })
  })

  it('changes nothing while the sale is recovering', async () => {
    world.restartStore()
    await expect(changeSale(world, 'demo', 'open')).rejects.toMatchObject({ code: 'recovering' })
  })
})

describe('status', () => {
  it('is well with a leader, and says what is wrong', async () => {
    await createSale(world, DEMO_FILE)
    await world.process.round()
    expect((await status(world, { declaredDurable: false })).problems).toEqual([
      'no coordinator leads: deaths are not declared and nginx is not told',
    ])
    await world.port.fleet.lead({ id: 'c1', adminUrl: 'http://c1' }, 1000)
    expect(await status(world, { declaredDurable: false })).toMatchObject({ ok: true, leader: { id: 'c1' } })
    // A node that may have told of orders, and does not say which.
    await new TestNode(world, 'n1').joinFleet()
    world.stock.saleRecords.delete('demo')
    world.advance(2000)
    await world.process.round()
    const view = await status(world, { declaredDurable: false })
    expect(view.ok).toBe(false)
    expect(view.sales[0]).toMatchObject({ id: 'demo', recovering: true, version: null })
    expect(view.sales[0]?.missing).toContain('the store has no record of this sale')
    world.isOrdersAway = true
    expect((await status(world, { declaredDurable: false })).problems).toContain('no orders process answers')
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
