import { describe, expect, it, vi } from 'vitest'
import { createWorld, FARE, HOLD_MS, type Process, rowsOf, SALE, takeAll, type World } from './testing/world.ts'

/** Until a hold is so old that it must be in the ledger. */
const SETTLED_DOWN_MS = 10_000

function remaining(world: World): number | undefined {
  return world.stock.saleRecords.get(SALE)?.fares.get(FARE)?.remaining
}

/** The ledger's cursor is beyond what was bought, and it has no row of it. */
async function passBy(world: World): Promise<void> {
  const version = (await world.stock.sales.read(SALE, { buffer: { tickets: 1 }, deadAfterMs: 1 }))?.version
  const upTo = version ?? { era: 0, seq: 0 }
  await world.ledger.take(SALE, { storeEra: 1, after: { era: 0, seq: 0 }, upTo, orders: [] })
}

/** The ledger takes a fate for told of which the store knows nothing, as after an older copy came in its place. */
async function cancelUntold(world: World, process: Process, orderId: string): Promise<void> {
  const fate = { state: 'released', reason: 'cancelled' } as const
  await world.ledger.decide([{ orderId, fate }], world.clock.nowMs())
  await world.ledger.markSettled([{ orderId, fate }])
  await process.reconciler.turn()
}

describe('a hold of which the ledger has no row', () => {
  it('gets its row long before its deadline, and ends as any other', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await world.buy('ann')
    await passBy(world)
    await takeAll(process)
    world.clock.advance(SETTLED_DOWN_MS - 1)
    await process.holds.turn()
    expect((await rowsOf(world.ledger)).size).toBe(0)
    world.clock.advance(1)
    expect(await process.holds.turn()).toBe(60_000)
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'held']]))
    world.clock.advance(HOLD_MS)
    await process.sweep.turn()
    expect(await rowsOf(world.ledger)).toEqual(new Map([['o-ann', 'expired']]))
    expect(remaining(world)).toBe(10)
  })
})

describe('a hold that is over in the ledger', () => {
  it('is told again, and its ticket returns before its deadline', async () => {
    const world = await createWorld(10)
    const process = world.start()
    await world.buy('ann', 'bob')
    await takeAll(process)
    await cancelUntold(world, process, 'o-ann')
    expect(remaining(world)).toBe(8)
    world.clock.advance(SETTLED_DOWN_MS)
    await process.holds.turn()
    await process.reconciler.turn()
    expect(world.storeOrder('o-ann')?.reason).toBe('cancelled')
    expect(world.storeOrder('o-bob')?.state).toBe('held')
    expect(remaining(world)).toBe(9)
  })
})

describe('many holds', () => {
  it('are compared some at a time, and only those that differ are written', async () => {
    const world = await createWorld(1000)
    const process = world.start()
    await world.buy(...Array.from({ length: 450 }, (_, number) => `b${number}`))
    await takeAll(process)
    await cancelUntold(world, process, 'o-b7')
    const asked = vi.spyOn(world.ledger, 'orders')
    const ensured = vi.spyOn(world.ledger, 'ensure')
    world.clock.advance(SETTLED_DOWN_MS)
    while ((await process.holds.turn()) !== 60_000);
    const sizes = asked.mock.calls.map(([ids]) => ids.length)
    expect(Math.max(...sizes)).toBe(200)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(450)
    expect(ensured.mock.calls.flatMap(([, , orders]) => orders.map(({ id }) => id))).toEqual(['o-b7'])
  })
})
