import { describe, expect, it } from 'vitest'
import { conservationFault } from '../../stock/core/sale-record.ts'
import { StoreError } from '../../stock/port.ts'
import { createWorld, FARE, HOLD_MS, type Process, rowsOf, SALE, takeAll, type World } from './testing/world.ts'

const REFUNDED = { state: 'released', reason: 'refunded' } as const

function counters(world: World): Record<string, number> | string {
  const fare = world.stock.saleRecords.get(SALE)?.fares.get(FARE)
  if (fare === undefined) throw new Error('no fare')
  const { remaining, held, paid } = fare
  return conservationFault(FARE, fare) ?? { remaining, held, paid }
}

async function sold(world: World, process: Process, ...buyers: string[]): Promise<void> {
  await world.buy(...buyers)
  await takeAll(process)
}

describe('fates', () => {
  it('are told the store at once: paying, cancelling, refunding, ending', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann', 'bob', 'eve')
    expect(await process.fates.pay('o-ann')).toMatchObject({ outcome: 'decided', order: { state: 'paid' } })
    expect(await process.fates.cancel('o-bob')).toMatchObject({ outcome: 'decided', order: { reason: 'cancelled' } })
    expect(await process.fates.expire('o-eve')).toMatchObject({ outcome: 'too_early' })
    expect(counters(world)).toEqual({ remaining: 8, held: 1, paid: 1 })
    expect(await process.fates.decide('o-ann', REFUNDED)).toMatchObject({
      outcome: 'decided',
      order: { reason: 'refunded' },
    })
    world.clock.advance(HOLD_MS)
    expect(await process.fates.expire('o-eve')).toMatchObject({ outcome: 'decided', order: { reason: 'expired' } })
    expect(counters(world)).toEqual({ remaining: 10, held: 0, paid: 0 })
    expect([...(await rowsOf(world.ledger)).values()]).toEqual(['refunded', 'cancelled', 'expired'])
  })

  it('have one winner, and the others hear which', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann')
    const results = await Promise.all([process.fates.cancel('o-ann'), process.fates.pay('o-ann')])
    expect(results.map(({ outcome }) => outcome)).toEqual(['decided', 'refused'])
    expect(await process.fates.cancel('o-ann')).toMatchObject({ outcome: 'already' })
    expect(world.storeOrder('o-ann')).toMatchObject({ state: 'released', reason: 'cancelled' })
  })

  it('make sure of the row first, when the ledger has not taken the order yet', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await world.buy('ann')
    expect(await process.fates.pay('o-ann')).toMatchObject({ outcome: 'decided' })
    await takeAll(process)
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'paid unsettled']]))
    await process.reconciler.turn()
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'paid']]))
    expect(counters(world)).toEqual({ remaining: 9, held: 0, paid: 1 })
  })

  it('make no row from a store that is not the certified one, and none of an order that nobody knows', async () => {
    const world = await createWorld(10)
    const process = world.start()
    expect(await process.fates.pay('o-nobody')).toEqual({ outcome: 'no_such_order', order: null })
    await world.buy('ann')
    world.restartStore()
    expect(await process.fates.pay('o-ann')).toEqual({ outcome: 'recovering', order: null })
    expect((await rowsOf(world.ledger)).size).toBe(0)
  })

  it('stand when the store is away, and are told by the reconciler', async () => {
    const world = await createWorld(10)
    let isAway = false
    const store = {
      ...world.stock.sales,
      settle: (...args: Parameters<typeof world.stock.sales.settle>) =>
        isAway ? Promise.reject(new StoreError('timeout', 'unknown', 'away')) : world.stock.sales.settle(...args),
    }
    const process = world.start({ store })
    await sold(world, process, 'ann')
    isAway = true
    expect(await process.fates.pay('o-ann')).toMatchObject({ outcome: 'decided' })
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'paid unsettled']]))
    isAway = false
    await process.reconciler.turn()
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'paid']]))
    expect(counters(world)).toEqual({ remaining: 9, held: 0, paid: 1 })
  })
})

/** As an older copy of the store has it: no record, not counted, not listed. */
function lose(world: World, id: string): void {
  const record = world.stock.saleRecords.get(SALE)
  const order = record?.orders.get(id)
  const fare = record?.fares.get(FARE)
  const buyer = record?.buyers.get(order?.buyer ?? '')
  if (record === undefined || order === undefined || fare === undefined || buyer === undefined) throw new Error(id)
  record.orders.delete(id)
  record.buyers.delete(order.buyer)
  fare.held -= order.quantity
  fare.remaining += order.quantity
}

describe('settling', () => {
  it('sounds an alarm for an order that the store does not know, and does not let it hide the others', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann', 'bob')
    world.stock.saleRecords.get(SALE)?.orders.delete('o-ann')
    await process.fates.pay('o-ann')
    expect(process.metrics.unsettleable.value).toBe(1)
    await process.reconciler.turn()
    expect(process.metrics.unsettleable.value).toBe(1)
    await world.ledger.decide([{ orderId: 'o-bob', fate: { state: 'paid' } }], null)
    await process.reconciler.turn()
    expect(await rowsOf(world.ledger)).toEqual(
      new Map([
        ['o-ann', 'paid unsettled'],
        ['o-bob', 'paid'],
      ]),
    )
    world.clock.advance(60_000)
    await process.reconciler.turn()
    expect(process.metrics.unsettleable.value).toBe(2)
  })

  it('leaves a tombstone of a released order that the store has lost: its tickets are not returned twice', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann', 'bob')
    lose(world, 'o-ann')
    expect(counters(world)).toEqual({ remaining: 9, held: 1, paid: 0 })
    await process.fates.cancel('o-ann')
    expect(world.storeOrder('o-ann')).toMatchObject({ state: 'released', reason: 'cancelled', buyer: 'ann' })
    expect(counters(world)).toEqual({ remaining: 9, held: 1, paid: 0 })
    expect(await world.buy('ann'), 'the same request again').toEqual([])
    await takeAll(process)
    await process.reconciler.turn()
    expect(await rowsOf(world.ledger)).toEqual(
      new Map([
        ['o-ann', 'cancelled'],
        ['o-bob', 'held'],
      ]),
    )
    expect(process.metrics.unsettleable.value).toBe(0)
  })

  it('brings a paid order back that the store has lost, as soon as there is a ticket for it', async () => {
    const world = await createWorld(2)
    const process = world.start()
    await sold(world, process, 'ann', 'bob')
    lose(world, 'o-ann')
    await world.buy('eve')
    await process.fates.pay('o-ann')
    expect([process.metrics.unsettleable.value, world.storeOrder('o-ann')]).toEqual([1, undefined])
    await takeAll(process)
    // The ledger had no room for eve's, so its ticket is there again.
    await process.reconciler.turn()
    world.clock.advance(60_000)
    await process.reconciler.turn()
    expect(counters(world)).toEqual({ remaining: 0, held: 1, paid: 1 })
    await takeAll(process)
    await process.reconciler.turn()
    expect(await rowsOf(world.ledger)).toEqual(
      new Map([
        ['o-ann', 'paid'],
        ['o-bob', 'held'],
        ['o-eve', 'conflict'],
      ]),
    )
  })

  it('finds what can be settled behind any number of fates that cannot', async () => {
    const world = await createWorld(20_000)
    const process = world.start()
    const buyers = Array.from({ length: 12_000 }, (_, index) => `b${index}`)
    await sold(world, process, ...buyers, 'ann')
    const ids = buyers.map((buyer) => `o-${buyer}`)
    const expired = { state: 'released', reason: 'expired' } as const
    const inStore = ids.map((orderId) => ({ orderId, fate: expired, atMs: 1 }))
    await world.stock.sales.settle(SALE, inStore, { era: 0, seq: 0 })
    const cancelled = { state: 'released', reason: 'cancelled' } as const
    const decisions = [...ids, 'o-ann'].map((orderId) => ({ orderId, fate: cancelled }))
    await world.ledger.decide(decisions, null)
    for (let turns = 0; (await process.reconciler.turn()) === 0; turns += 1) expect(turns).toBeLessThan(20)
    expect((await rowsOf(world.ledger)).get('o-ann')).toBe('cancelled')
    expect(world.storeOrder('o-ann')).toMatchObject({ reason: 'cancelled' })
  })

  it('lets no fare whose counters were changed by hand hold up the others', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann', 'bob', 'eve')
    const fare = world.stock.saleRecords.get(SALE)?.fares.get(FARE)
    if (fare === undefined) throw new Error('no fare')
    fare.held -= 2
    const fate = { state: 'released', reason: 'cancelled' } as const
    await world.ledger.decide(
      ['o-ann', 'o-bob', 'o-eve'].map((orderId) => ({ orderId, fate })),
      null,
    )
    await process.reconciler.turn()
    expect([...(await rowsOf(world.ledger)).values()]).toEqual([
      'cancelled',
      'cancelled unsettled',
      'cancelled unsettled',
    ])
    expect([fare.held, process.metrics.unsettleable.value]).toEqual([0, 2])
    fare.held += 2
    world.clock.advance(60_000)
    await process.reconciler.turn()
    expect([...(await rowsOf(world.ledger)).values()]).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(counters(world)).toEqual({ remaining: 10, held: 0, paid: 0 })
  })

  it('sounds an alarm for a fate that the store holds another for', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann')
    const expired = { orderId: 'o-ann', fate: { state: 'released', reason: 'expired' } as const, atMs: 1 }
    await world.stock.sales.settle(SALE, [expired], { era: 0, seq: 0 })
    await process.fates.pay('o-ann')
    expect(process.metrics.unsettleable.value).toBe(1)
  })

  it('leaves a fate that has moved on meanwhile to whoever moved it', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await sold(world, process, 'ann')
    const [paid] = await world.ledger.decide([{ orderId: 'o-ann', fate: { state: 'paid' } }], null)
    await process.fates.decide('o-ann', REFUNDED)
    await process.fates.settle(paid ?? { outcome: 'no_such_order', order: null })
    expect(process.metrics.unsettleable.value).toBe(0)
    expect(world.storeOrder('o-ann')).toMatchObject({ reason: 'refunded' })
    expect(counters(world)).toEqual({ remaining: 10, held: 0, paid: 0 })
  })
})
