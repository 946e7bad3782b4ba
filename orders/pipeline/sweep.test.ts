import { describe, expect, it } from 'vitest'
import { createWorld, FARE, HOLD_MS, KEEP_MS, rowsOf, SALE, takeAll, type World } from './testing/world.ts'

function remaining(world: World): number | undefined {
  return world.stock.saleRecords.get(SALE)?.fares.get(FARE)?.remaining
}

describe('the sweep', () => {
  it('ends holds at their deadline, not before, and their tickets return', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await world.buy('ann', 'bob')
    await takeAll(process)
    await process.fates.pay('o-bob')
    world.clock.advance(HOLD_MS - 1)
    await process.sweep.turn()
    expect(remaining(world)).toBe(8)
    world.clock.advance(1)
    expect(await process.sweep.turn()).toBe(250)
    expect(remaining(world)).toBe(9)
    expect(await rowsOf(world.ledger)).toEqual(
      new Map([
        ['o-ann', 'expired'],
        ['o-bob', 'paid'],
      ]),
    )
    expect(process.metrics.expired.value).toBe(1)
  })

  it('goes on at once while there are more', async () => {
    const world = await createWorld(2000)
    const process = world.start()
    await world.buy(...Array.from({ length: 1500 }, (_, index) => `b${index}`))
    await takeAll(process)
    world.clock.advance(HOLD_MS)
    expect(await process.sweep.turn()).toBe(0)
    expect(await process.sweep.turn()).toBe(250)
    expect(remaining(world)).toBe(2000)
  })

  it('returns the ticket of an order that the database refuses, at its deadline, after five tries', async () => {
    const world = await createWorld(10, { refuse: ({ id }) => (id === 'o-odd' ? 'odd' : null) })
    const process = world.start()
    await world.buy('odd', 'ann')
    await takeAll(process)
    expect(process.metrics.setAside.value).toBe(1)
    for (let turn = 0; turn < 40; turn += 1) await process.sweep.turn()
    expect(process.sweep.deadLetters).toBe(1)
    expect(await world.ledger.deadLetters(SALE)).toMatchObject([{ orderId: 'o-odd', isDead: true, isReleased: false }])
    world.clock.advance(HOLD_MS)
    for (let turn = 0; turn < 8; turn += 1) await process.sweep.turn()
    expect(world.storeOrder('o-odd')).toMatchObject({ state: 'released', reason: 'expired' })
    expect(remaining(world)).toBe(10)
  })

  it('leaves an order be that the database refuses and the store has lost', async () => {
    const world = await createWorld(10, { refuse: ({ id }) => (id === 'o-odd' ? 'odd' : null) })
    const process = world.start()
    await world.buy('odd')
    await takeAll(process)
    for (let turn = 0; turn < 40; turn += 1) await process.sweep.turn()
    world.stock.saleRecords.get(SALE)?.orders.delete('o-odd')
    world.clock.advance(HOLD_MS)
    for (let turn = 0; turn < 8; turn += 1) await process.sweep.turn()
    expect(await world.ledger.releaseDeadLetters(SALE, world.clock.nowMs(), 10)).toEqual([])
    expect(process.metrics.unsettleable.value).toBe(0)
  })

  it('takes an order that was set aside once the database no longer refuses it', async () => {
    let isOdd = true
    const world = await createWorld(10, { refuse: () => (isOdd ? 'odd' : null) })
    const process = world.start()
    await world.buy('ann')
    await takeAll(process)
    isOdd = false
    for (let turn = 0; turn < 9; turn += 1) await process.sweep.turn()
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'held']]))
    expect(process.sweep.deadLetters).toBe(0)
  })
})

describe('trimming', () => {
  it('forgets events that the ledger has had for a while, and only those', async () => {
    const world = await createWorld(10)
    const process = world.start()
    const events = (): number => world.stock.saleRecords.get(SALE)?.events.length ?? 0
    await world.buy('ann')
    await takeAll(process)
    await process.trimming.turn()
    world.clock.advance(KEEP_MS / 2)
    await world.buy('bob')
    await takeAll(process)
    await process.trimming.turn()
    await world.buy('eve')
    const all = events()
    world.clock.advance(KEEP_MS / 2)
    await process.trimming.turn()
    expect(events()).toBe(2)
    expect(process.metrics.trimmed.value).toBe(all - 2)
    world.clock.advance(KEEP_MS * 2)
    await process.trimming.turn()
    expect(events()).toBe(1)
    await takeAll(process)
    expect((await rowsOf(world.ledger)).size).toBe(3)
  })
})
