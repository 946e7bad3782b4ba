import { describe, expect, it } from 'vitest'
import { DatabaseError } from '../ledger/database.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { createWorld, rowsOf, SALE, takeAll, type World } from './testing/world.ts'

function names(count: number, prefix = 'b'): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

/** The world's ledger, away while `isAway` says so; a `take` of which the answer is lost is kept all the same. */
function awayLedger({ ledger }: World, isAway: () => 'no' | 'yes' | 'answer_lost'): Ledger {
  return new Proxy<Ledger>(ledger, {
    get(target, name: keyof Ledger) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>
      return async (...args: unknown[]): Promise<unknown> => {
        if (isAway() === 'yes') throw new DatabaseError('away', 'no answer')
        const result = await method.apply(target, args)
        if (isAway() === 'answer_lost' && name === 'take') throw new DatabaseError('away', 'the answer was lost')
        return result
      }
    },
  })
}

describe('taking', () => {
  it('brings every order into the ledger once, and waits about as long as a hundred orders take', async () => {
    const world = await createWorld(500)
    const process = world.start()
    await world.buy('ann', 'bob')
    expect(await process.taking.turn()).toBe(100)
    expect(await rowsOf(world.ledger)).toEqual(
      new Map([
        ['o-ann', 'held'],
        ['o-bob', 'held'],
      ]),
    )
    await world.buy(...names(200))
    expect(await process.taking.turn()).toBe(50)
    expect(await process.taking.turn()).toBe(100)
    expect(process.metrics.taken.value).toBe(202)
    expect(process.taking.level).toEqual({ behind: 0, lagMs: 0 })
    expect((await world.ledger.sale(SALE))?.fares[0]).toMatchObject({ held: 202, paid: 0 })
  })

  it('takes a backlog in large batches, one after the other without waiting', async () => {
    const world = await createWorld(5000)
    for (let change = 0; change < 25; change += 1) await world.buy(...names(100, `c${change}-`))
    const process = world.start()
    expect(await process.taking.turn()).toBe(0)
    expect(process.metrics.taken.value).toBe(1000)
    expect(await process.taking.turn()).toBe(0)
    expect(await process.taking.turn()).toBe(20)
    expect(process.metrics).toMatchObject({ taken: { value: 2500 }, batches: { value: 3 } })
  })

  it('shares with another process: each order once, whoever takes it', async () => {
    const world = await createWorld(5000)
    const processes = [world.start(), world.start()]
    for (let change = 0; change < 20; change += 1) {
      await world.buy(...names(150, `c${change}-`))
      await Promise.all(processes.map(({ taking }) => taking.turn()))
    }
    for (const process of processes) await takeAll(process)
    const counts = processes.map(({ metrics }) => metrics.taken.value)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3000)
    expect((await rowsOf(world.ledger)).size).toBe(3000)
  })

  it('waits longer and longer for a ledger that is away, gives up nothing, and goes on by itself', async () => {
    const world = await createWorld(100)
    let away: 'no' | 'yes' | 'answer_lost' = 'yes'
    const process = world.start({ ledger: awayLedger(world, () => away) })
    await world.buy(...names(10))
    const waits: number[] = []
    for (let turn = 0; turn < 7; turn += 1) waits.push(await process.taking.turn())
    expect(waits).toEqual([100, 200, 400, 800, 1600, 2000, 2000])
    away = 'no'
    await takeAll(process)
    expect((await rowsOf(world.ledger)).size).toBe(10)
    expect(await world.ledger.deadLetters(SALE)).toEqual([])
    expect(process.metrics.setAside.value).toBe(0)
  })

  it('after a lost answer goes on from what the ledger has', async () => {
    const world = await createWorld(100)
    let away: 'no' | 'yes' | 'answer_lost' = 'answer_lost'
    const process = world.start({ ledger: awayLedger(world, () => away) })
    await world.buy(...names(10))
    await process.taking.turn()
    away = 'no'
    await world.buy('late')
    await takeAll(process)
    expect((await rowsOf(world.ledger)).size).toBe(11)
    expect(process.metrics.taken.value).toBe(1)
  })

  it('shows the age of what waits while the ledger is away', async () => {
    const world = await createWorld(100)
    let away: 'no' | 'yes' = 'no'
    const process = world.start({ ledger: awayLedger(world, () => away) })
    await takeAll(process)
    await world.buy('ann')
    world.clock.advance(700)
    away = 'yes'
    await process.taking.turn()
    world.clock.advance(300)
    await process.taking.turn()
    expect(process.taking.level).toMatchObject({ lagMs: 1000 })
    expect(process.taking.level.behind).toBeGreaterThan(0)
    away = 'no'
    await takeAll(process)
    expect(process.taking.level).toEqual({ behind: 0, lagMs: 0 })
  })

  it('is refused by the ledger once its era has moved, says so, and goes on in the new era', async () => {
    const world = await createWorld(100)
    const process = world.start()
    await world.buy('ann')
    await takeAll(process)
    await world.ledger.beginEra(SALE, 1)
    await world.buy('bob')
    expect(await process.taking.turn()).toBe(250)
    expect(process.recovering).toEqual(['fenced'])
    expect((await rowsOf(world.ledger)).size).toBe(1)
    await world.stock.sales.certify(SALE, { era: 1, seq: 0 }, 2, 0)
    await takeAll(process)
    expect((await rowsOf(world.ledger)).size).toBe(2)
  })

  it('takes nothing from a store that is not certified, behind the ledger, or without the sale', async () => {
    const world = await createWorld(100)
    const process = world.start()
    await world.buy('ann')
    await takeAll(process)
    const copy = structuredClone(world.stock.saleRecords.get(SALE))
    await world.buy('bob')
    await takeAll(process)
    if (copy === undefined) throw new Error('no sale')
    world.stock.saleRecords.set(SALE, copy)
    await process.taking.turn()
    expect(process.recovering).toEqual(['not_certified'])
    expect((await world.stock.sales.read(SALE, { buffer: { tickets: 1 }, deadAfterMs: 1 }))?.certified).toBe(false)
    world.stock.saleRecords.delete(SALE)
    await process.taking.turn()
    expect(process.recovering).toEqual(['not_certified', 'missing'])
    expect((await rowsOf(world.ledger)).size).toBe(2)
  })

  it('moves the cursor over changes that made no order, but not at each of them', async () => {
    const world = await createWorld(100)
    const process = world.start()
    await world.buy('ann')
    await takeAll(process)
    const before = (await world.ledger.sale(SALE))?.taken
    await world.stock.sales.change(SALE, 'pause', { era: 0, seq: 0 })
    await takeAll(process)
    expect((await world.ledger.sale(SALE))?.taken).toEqual(before)
    world.clock.advance(1000)
    await takeAll(process)
    expect((await world.ledger.sale(SALE))?.taken.seq).toBeGreaterThan(before?.seq ?? 0)
  })

  it('looks less often at a sale in which nothing is bought, until something is', async () => {
    const world = await createWorld(100)
    const process = world.start()
    await takeAll(process)
    world.clock.advance(31_000)
    expect(await process.taking.turn()).toBe(500)
    await world.buy('ann')
    expect(await process.taking.turn()).toBe(100)
    expect(await process.taking.turn()).toBe(100)
  })

  it('reads every order when events were trimmed that this ledger never had', async () => {
    const world = await createWorld(100)
    await world.buy(...names(10))
    const version = (await world.stock.sales.read(SALE, { buffer: { tickets: 1 }, deadAfterMs: 1 }))?.version
    await world.stock.sales.trimEvents(SALE, version ?? { era: 0, seq: 0 })
    await world.buy('late')
    const process = world.start()
    await takeAll(process)
    expect((await rowsOf(world.ledger)).size).toBe(11)
    expect(process.recovering).toEqual([])
  })

  it('sounds an alarm when the store sold more than the ledger’s stock, and the ledger issues none of it', async () => {
    const world = await createWorld(3)
    const process = world.start()
    const fare = world.stock.saleRecords.get(SALE)?.fares.get('second')
    if (fare === undefined) throw new Error('no fare')
    fare.stock += 1
    fare.remaining += 1
    await world.buy('ann', 'bob', 'eve', 'mallory')
    await takeAll(process)
    expect(process.metrics.conflicts.value).toBe(1)
    expect(process.overran).toEqual([SALE])
    expect((await world.ledger.sale(SALE))?.fares[0]).toMatchObject({ held: 3 })
    await process.reconciler.turn()
    const states = [...(world.stock.saleRecords.get(SALE)?.orders.values() ?? [])].map(({ reason }) => reason)
    expect(states.filter((reason) => reason === 'conflict')).toHaveLength(1)
  })
})
