/** The desk over a store that is slow, breaks off, forgets and fences: what buyers are told must still be true. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { seededRandom } from '../runtime/random.ts'
import type { Order } from '../stock/core/words.ts'
import { StoreError } from '../stock/port.ts'
import type { Acknowledger } from './acknowledger.ts'
import { codeOf, FARE, historyFaults, ordersOf, recordOf, type Rush, SALE, startRush } from './testing/rush.ts'
import type { SaleDesk } from './sale-desk.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
let rush: Rush | undefined
afterEach(() => {
  rush?.stop()
  vi.useRealTimers()
})

async function start(options: Partial<Parameters<typeof startRush>[0]> = {}): Promise<Rush> {
  rush = await startRush({ seed: 1, tickets: 10, desks: 1, ...options })
  await vi.advanceTimersByTimeAsync(100)
  return rush
}

/** Lets time pass until the work is done; fails loudly when it never is. */
async function settled<T>(work: Promise<T>, withinMs = 60_000): Promise<T> {
  let isDone = false
  const done = work.finally(() => {
    isDone = true
  })
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += 50) {
    if (isDone) return done
    await vi.advanceTimersByTimeAsync(50)
  }
  throw new Error(`nothing came of it within ${withinMs} ms`)
}

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('empty')
  return item
}

const SEEDS = 40

describe('a rush', () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1)
  it.each(seeds)('keeps every promise, whatever the store does (seed %i)', async (seed) => {
    const tickets = 30
    const rushing = await start({ seed, tickets, desks: 3, troubleShare: 0.25 })
    const { random, weather } = rushing
    const buyers = Array.from({ length: 60 }, (_, index) => {
      const wish = { buyer: `b${index % 50}`, key: `k${index}`, quantity: 1 + random.below(2) }
      return rushing.insist(wish).then((answer) => ({ wish, answer }))
    })
    // Now and then the store hangs, a node is fenced, the store begins a new life, or forgets its events.
    for (let time = 0; time < 6; time += 1) {
      await vi.advanceTimersByTimeAsync(random.below(60))
      const event = random.below(4)
      if (event === 0) weather.stalledUntilMs = Date.now() + 600
      if (event === 1) {
        const desk = first(rushing.desks)
        await rushing.stock.sales.setWeights(SALE, 1, {}, [{ id: 'n1', epoch: desk.epoch }], rushing.rules)
      }
      if (event === 2) {
        rushing.restartStore()
        await vi.advanceTimersByTimeAsync(random.below(100))
        await rushing.certify()
      }
      if (event === 3) await rushing.trim()
    }
    weather.troubleShare = 0
    const ends = await settled(Promise.all(buyers))
    // What was left in the odd corner is sold one by one: nothing may be stranded.
    for (let extra = 0; extra < tickets; extra += 1) {
      const answer = await settled(rushing.insist({ buyer: `x${extra}`, key: 'k', quantity: 1 }))
      if (codeOf(answer) === 'all_held') break
    }
    // Everybody repeats after zero, on whichever desk: the same order, never a second one.
    const before = ordersOf(rushing.stock).length
    for (const { wish, answer } of ends) {
      if (codeOf(answer) !== 'held' && codeOf(answer) !== 'replayed') continue
      expect(codeOf(await settled(rushing.insist(wish)))).toBe('replayed')
    }
    await vi.advanceTimersByTimeAsync(2000)

    expect(rushing.faults).toEqual([])
    expect(historyFaults(rushing, tickets)).toEqual([])
    expect(ordersOf(rushing.stock)).toHaveLength(before)
    expect(ordersOf(rushing.stock).reduce((sum, order) => sum + order.quantity, 0)).toBe(tickets)
    expect(rushing.desks.map((desk) => desk.state)).toEqual(['selling', 'selling', 'selling'])
  })
})

describe('the history check', () => {
  it('sees a lost order, an unknown order, an oversold fare and a leaked deduction', async () => {
    const rushing = await start()
    await settled(rushing.insist({ buyer: 'ann', key: 'a', quantity: 1 }))
    expect(historyFaults(rushing, 10)).toEqual([])
    const record = rushing.stock.saleRecords.get(SALE)
    const order = record?.orders.get('ann/a')
    if (record === undefined || order === undefined) throw new Error('no order')
    expect(historyFaults(rushing, 0)).toEqual(['1 of 0 tickets sold'])
    record.orders.set('ghost', { ...order, id: 'ghost', buyer: 'ann', quantity: 2 })
    record.orders.delete('ann/a')
    const desk = first(rushing.desks)
    desk.quota.fare(FARE)?.deduct(1)
    expect(historyFaults(rushing, 10)).toEqual([
      'acknowledged order ann/a is lost',
      'nobody was told of order ghost',
      '1 deductions are in flight with nobody to answer',
    ])
  })
})

describe('refusals', () => {
  it('come from memory once the zero is fresh and the winners known, without a call', async () => {
    const rushing = await start({ tickets: 1 })
    await settled(rushing.insist({ buyer: 'ann', key: 'a', quantity: 1 }))
    await vi.advanceTimersByTimeAsync(500)
    const answer = await settled(rushing.buy(first(rushing.desks), { buyer: 'bob', key: 'b' }))
    expect(answer).toEqual({ by: 'memory', refusal: 'all_held' })
  })

  it('are judged in the order of precedence: a buyer at the limit hears that, also without a key', async () => {
    const rushing = await start({ tickets: 2 })
    await settled(rushing.insist({ buyer: 'ann', key: 'a', quantity: 2 }))
    await vi.advanceTimersByTimeAsync(500)
    const wish = { buyer: 'ann', key: 'another', mayRepeat: false }
    expect(codeOf(await settled(rushing.buy(first(rushing.desks), wish)))).toBe('limit_reached')
  })

  it('stop coming from memory a second after the store fell silent', async () => {
    const rushing = await start({ tickets: 1 })
    await settled(rushing.insist({ buyer: 'ann', key: 'a', quantity: 1 }))
    await vi.advanceTimersByTimeAsync(500)
    rushing.weather.stalledUntilMs = Date.now() + 60_000
    await vi.advanceTimersByTimeAsync(1300)
    expect(codeOf(await settled(rushing.buy(first(rushing.desks), { buyer: 'bob', key: 'b' })))).toBe('outcome_unknown')
  })
})

describe('a desk that is listened to', () => {
  it('tells of the orders it made as soon as they are made, and once', async () => {
    const rushing = await start()
    // Orders that are made right after the opening are told once all nodes have heard of it.
    await vi.advanceTimersByTimeAsync(1000)
    const desk = first(rushing.desks)
    const heard: string[] = []
    desk.listener = { isWaiting: false, onOrders: ({ orderIds }) => heard.push(...orderIds), onGap: () => {} }
    await settled(desk.heartbeat())
    const before = desk.quota.winners.cursor
    // The next heartbeat, which would read the event, comes later than this.
    await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' }))
    expect(heard).toEqual(['ann/a'])
    expect(desk.quota.winners.cursor).toEqual({ ...before, seq: before.seq + 1 })
    await vi.advanceTimersByTimeAsync(1000)
    expect(heard).toEqual(['ann/a'])
  })
})

async function soldOut(): Promise<Rush> {
  const rushing = await start({ tickets: 3, desks: 2 })
  // Orders that are made right after the opening are told once all nodes have heard of it.
  await vi.advanceTimersByTimeAsync(930)
  const [one] = rushing.desks
  if (one === undefined) throw new Error('no desk')
  const answers = ['ann', 'bob', 'eve'].map((buyer) => rushing.buy(one, { buyer, key: 'k' }))
  expect((await settled(Promise.all(answers))).map(codeOf)).toEqual(['held', 'held', 'held'])
  return rushing
}

async function answersOf(rushing: Rush, desk: SaleDesk): Promise<string[]> {
  await vi.advanceTimersByTimeAsync(600)
  const buyers = ['ann', 'bob', 'eve', 'late']
  const answers = buyers.map((buyer) => rushing.buy(desk, { buyer, key: 'k' }))
  return (await settled(Promise.all(answers))).map((answer) => `${answer.by} ${codeOf(answer)}`)
}

describe('winners whose events were trimmed', () => {
  const TRUTH = ['store replayed', 'store replayed', 'store replayed', 'memory all_held']

  it('are known to a node that followed: it has lost some, and reads the whole set', async () => {
    const rushing = await soldOut()
    const follower = rushing.desks[1]
    if (follower === undefined) throw new Error('no desk')
    expect(follower.quota.winners.size).toBe(0)
    const { reading } = follower.quota.winners
    await rushing.trim()
    expect(await answersOf(rushing, follower)).toEqual(TRUTH)
    expect(follower.quota.winners.reading).toBe(reading + 1)
  })

  it('are known to a node that joins afterwards', async () => {
    const rushing = await soldOut()
    await rushing.trim()
    expect(await answersOf(rushing, rushing.addDesk())).toEqual(TRUTH)
  })

  it('are followed on, when the trimming left what had not been heard', async () => {
    const rushing = await soldOut()
    const follower = rushing.desks[1]
    if (follower === undefined) throw new Error('no desk')
    await vi.advanceTimersByTimeAsync(300)
    const { reading } = follower.quota.winners
    await rushing.trim()
    expect(await answersOf(rushing, follower)).toEqual(TRUTH)
    expect(follower.quota.winners.reading).toBe(reading)
  })
})

async function comesBack(rushing: Rush): Promise<void> {
  const order = ordersOf(rushing.stock).find(({ state }) => state === 'held')
  if (order === undefined) throw new Error('nothing is held')
  const item = { orderId: order.id, fate: { state: 'released', reason: 'expired' } as const, atMs: Date.now() }
  await rushing.stock.sales.settle(SALE, [item], { era: 0, seq: 0 })
}

describe('a ticket that came back', () => {
  it('is told of only when no node will say all_held to a repeat of the request that won it', async () => {
    const rushing = await start({ tickets: 1, desks: 3 })
    const [one, two, three] = rushing.desks
    if (one === undefined || two === undefined || three === undefined) throw new Error('no desks')
    await settled(rushing.buy(one, { buyer: 'ann', key: 'a' }))
    await vi.advanceTimersByTimeAsync(500)
    expect(await rushing.buy(one, { buyer: 'bob', key: 'b' })).toMatchObject({ by: 'memory', refusal: 'all_held' })
    await comesBack(rushing)
    void two.heartbeat()
    await vi.advanceTimersByTimeAsync(20)
    const returnedMs = Date.now()
    expect(codeOf(await settled(rushing.buy(two, { buyer: 'bob', key: 'b' })))).toBe('held')
    const repeats = await settled(
      Promise.all([one, three].map((desk) => rushing.buy(desk, { buyer: 'bob', key: 'b' }))),
    )
    expect(repeats.map(codeOf)).toEqual(['replayed', 'replayed'])
    expect(Date.now() - returnedMs).toBeLessThan(400)
  })

  it('is told of when a node that hangs can remember no longer', async () => {
    const rushing = await start({ tickets: 1, desks: 2, settings: { buyDeadlineMs: 3000 } })
    const [one, two] = rushing.desks
    if (one === undefined || two === undefined) throw new Error('no desks')
    await settled(rushing.buy(one, { buyer: 'ann', key: 'a' }))
    await vi.advanceTimersByTimeAsync(500)
    vi.spyOn(one, 'heartbeat').mockResolvedValue()
    await comesBack(rushing)
    const returnedMs = Date.now()
    void two.heartbeat()
    await vi.advanceTimersByTimeAsync(20)
    expect(codeOf(await settled(rushing.buy(two, { buyer: 'bob', key: 'b' })))).toBe('held')
    const waitedMs = Date.now() - returnedMs
    expect(waitedMs).toBeGreaterThan(900)
    expect(waitedMs).toBeLessThan(1100)
    expect(codeOf(await settled(rushing.buy(one, { buyer: 'bob', key: 'b' })))).toBe('replayed')
  })

  it('costs nothing where tickets were left, and nothing once all have heard', async () => {
    const rushing = await start({ tickets: 10, desks: 2 })
    const [one, two] = rushing.desks
    if (one === undefined || two === undefined) throw new Error('no desks')
    const quickly = async (desk: SaleDesk, buyer: string): Promise<void> => {
      const beganMs = Date.now()
      expect(codeOf(await settled(rushing.buy(desk, { buyer, key: 'k' })))).toBe('held')
      expect(Date.now() - beganMs).toBeLessThanOrEqual(50)
    }
    await vi.advanceTimersByTimeAsync(1000)
    await quickly(one, 'ann')
    await comesBack(rushing)
    await quickly(one, 'bob')
    await settled(Promise.all(Array.from({ length: 9 }, (_, at) => rushing.buy(one, { buyer: `b${at}`, key: 'k' }))))
    await comesBack(rushing)
    await vi.advanceTimersByTimeAsync(600)
    await quickly(two, 'eve')
  })

  it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
    'again and again, on any desk (seed %i)',
    async (seed) => {
      const rushing = await start({ seed, tickets: 2, desks: 3, troubleShare: seed % 2 === 0 ? 0.1 : 0 })
      await settled(Promise.all([1, 2].map((at) => rushing.insist({ buyer: `b${at}`, key: 'k', quantity: 1 }))))
      for (let round = 0; round < 12; round += 1) {
        await vi.advanceTimersByTimeAsync(rushing.random.below(700))
        await comesBack(rushing)
        const wish = { buyer: `c${round}`, key: 'k', quantity: 1 }
        for (;;) {
          const answer = await settled(rushing.insist(wish))
          if (codeOf(answer) === 'held' || codeOf(answer) === 'replayed') break
          await vi.advanceTimersByTimeAsync(rushing.random.below(120))
        }
        const repeats = await settled(Promise.all(rushing.desks.map((desk) => rushing.buy(desk, wish))))
        for (const code of repeats.map(codeOf)) expect(['replayed', 'busy', 'outcome_unknown']).toContain(code)
      }
      rushing.weather.troubleShare = 0
      await vi.advanceTimersByTimeAsync(3000)
      expect(rushing.faults).toEqual([])
      expect(historyFaults(rushing, 2)).toEqual([])
    },
  )
})

describe('trouble', () => {
  it('an unknown confirm that was carried out is answered as a repeat, once', async () => {
    const rushing = await start()
    const real = rushing.stock.sales
    rushing.weather.troubleShare = 1
    const answers = Array.from({ length: 5 }, (_, index) =>
      rushing.insist({ buyer: `b${index}`, key: 'k', quantity: 1 }),
    )
    await vi.advanceTimersByTimeAsync(200)
    rushing.weather.troubleShare = 0
    const codes = (await settled(Promise.all(answers))).map(codeOf)
    expect(codes.every((code) => code === 'held' || code === 'replayed')).toBe(true)
    expect((await real.read(SALE, rushing.rules))?.fares[0]?.held).toBe(5)
    expect(historyFaults(rushing, 10)).toEqual([])
  })

  it('a store away for good: each is answered in time, as trouble, and nothing is held on to', async () => {
    const rushing = await start({ tickets: 20_000 })
    const desk = first(rushing.desks)
    rushing.weather.stalledUntilMs = Date.now() + 3_600_000
    const answers: Promise<unknown>[] = []
    for (let index = 0; index < 12_000; index += 1) {
      answers.push(rushing.buy(desk, { buyer: `b${index}`, key: 'k' }))
      if (index % 1000 === 0) await vi.advanceTimersByTimeAsync(1)
    }
    expect(desk.queueLength).toBe(10_000)
    await settled(Promise.all(answers), 2000)
    expect(rushing.faults).toEqual([])
    expect(new Set(rushing.told.map(({ answer }) => codeOf(answer)))).toEqual(new Set(['busy', 'outcome_unknown']))
    expect(desk.quota.fare(FARE)?.inFlight).toBeLessThanOrEqual(10_010)
  })

  it.each([
    ['lost_before', 'outcome_unknown'],
    ['late', 'outcome_unknown'],
    ['refused', 'busy'],
  ] as const)('%s until the deadline is answered %s, never as a refusal', async (fate, code) => {
    const rushing = await start()
    rushing.weather.troubles = [fate]
    rushing.weather.troubleShare = 1
    expect(codeOf(await settled(rushing.buy(first(rushing.desks), { buyer: 'ann', key: 'a' })))).toBe(code)
  })

  it('a recovering sale says so at once, and sells again under the new era', async () => {
    const rushing = await start()
    rushing.restartStore()
    await vi.advanceTimersByTimeAsync(400)
    const desk = first(rushing.desks)
    expect(desk.state).toBe('recovering')
    expect(codeOf(await rushing.buy(desk, { buyer: 'ann', key: 'a' }))).toBe('recovering')
    await rushing.certify()
    await vi.advanceTimersByTimeAsync(200)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('held')
  })

  it('after the last ticket a recovering sale is not said to be held by others', async () => {
    const rushing = await start({ tickets: 1 })
    const desk = first(rushing.desks)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('held')
    await vi.advanceTimersByTimeAsync(600)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'bob', key: 'b' })))).toBe('all_held')
    rushing.restartStore()
    await vi.advanceTimersByTimeAsync(400)
    expect(desk.state).toBe('recovering')
    expect(codeOf(await rushing.buy(desk, { buyer: 'bob', key: 'b' }))).toBe('recovering')
  })

  it('an older copy restored in place stops the sale, also when other nodes have moved it on meanwhile', async () => {
    const rushing = await start({ desks: 2 })
    const [one, two] = rushing.desks
    if (one === undefined || two === undefined) throw new Error('no desks')
    const copy = structuredClone(rushing.stock.saleRecords.get(SALE))
    if (copy === undefined) throw new Error('no sale')
    expect(codeOf(await settled(rushing.buy(one, { buyer: 'ann', key: 'a' })))).toBe('held')
    // Moved past everything that the first node has seen, but not by the first node.
    copy.seq += 100
    rushing.stock.saleRecords.set(SALE, copy)
    expect(codeOf(await settled(rushing.buy(one, { buyer: 'bob', key: 'b' })))).toBe('recovering')
    expect([one.state, two.state]).toEqual(['recovering', 'recovering'])
    expect(ordersOf(rushing.stock)).toHaveLength(0)
  })

  it('a broken law about stock is nobody’s trouble: it reaches the process', async () => {
    const rushing = await start()
    const desk = first(rushing.desks)
    const thrown: unknown[] = []
    const listen = (reason: unknown): void => void thrown.push(reason)
    const others = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', listen)
    try {
      void rushing.buy(desk, { buyer: 'ann', key: 'a' })
      desk.quota.fare(FARE)?.restore(1)
      await vi.advanceTimersByTimeAsync(100)
      vi.useRealTimers()
      await new Promise((resolve) => {
        setImmediate(resolve)
      })
    } finally {
      process.removeListener('unhandledRejection', listen)
      for (const other of others) process.on('unhandledRejection', other)
    }
    expect(thrown.map(String)).toEqual([expect.stringContaining('more deductions restored than were made')])
  })

  it('whoever waits in line moves up when those before have gone away', async () => {
    const rushing = await start({ tickets: 2 })
    const desk = first(rushing.desks)
    // The whole quota is taken by wishes that fall due while the store is away; a later one waits in line.
    rushing.weather.troubles = ['refused']
    rushing.weather.troubleShare = 1
    const early = Array.from({ length: 4 }, (_, index) => rushing.buy(desk, { buyer: `b${index}`, key: 'k' }))
    await vi.advanceTimersByTimeAsync(700)
    const waiting = rushing.buy(desk, { buyer: 'late', key: 'k' })
    await settled(Promise.all(early), 1000)
    rushing.weather.troubleShare = 0
    for (let waitedMs = 0; desk.state !== 'selling' && waitedMs < 200; waitedMs += 1)
      await vi.advanceTimersByTimeAsync(1)
    // Two ways to the store and back at most; the next heartbeat is further away.
    await vi.advanceTimersByTimeAsync(40)
    expect(rushing.told.map(({ buyer, answer }) => `${buyer} ${codeOf(answer)}`).at(-1)).toBe('late held')
    await waiting
  })
})

describe('what `ack` asks for beyond the reply', () => {
  type Kept = Awaited<ReturnType<Acknowledger['keeps']>>

  function acknowledging(): { acknowledger: Acknowledger; say: (outcome: Kept['outcome']) => void } {
    let answer: Kept = { outcome: 'kept' }
    return { acknowledger: { keeps: () => Promise.resolve(answer) }, say: (outcome) => (answer = { outcome }) }
  }

  it('comes before the buyer hears of the order; until then nobody new is taken in', async () => {
    const { acknowledger, say } = acknowledging()
    const rushing = await start({ settings: { acknowledger } })
    const desk = first(rushing.desks)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('held')
    say('not_yet')
    const waiting = rushing.buy(desk, { buyer: 'bob', key: 'b' })
    await vi.advanceTimersByTimeAsync(400)
    expect(ordersOf(rushing.stock)).toHaveLength(2)
    expect(rushing.told).toHaveLength(1)
    expect(codeOf(await rushing.buy(desk, { buyer: 'eve', key: 'e' }))).toBe('busy')
    say('kept')
    expect(codeOf(await settled(waiting))).toBe('held')
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'eve', key: 'e' })))).toBe('held')
  })

  it('that does not come within the deadline leaves the outcome unknown; the same key finds the order', async () => {
    const { acknowledger, say } = acknowledging()
    const rushing = await start({ settings: { acknowledger } })
    const desk = first(rushing.desks)
    say('not_yet')
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('outcome_unknown')
    say('kept')
    // A heartbeat notices, although nobody waits any more.
    await vi.advanceTimersByTimeAsync(400)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('replayed')
    expect(historyFaults(rushing, 10)).toEqual([])
  })

  it('is not there for an order that is kept as another wish under the same key', async () => {
    let keptAs: Partial<Order> = { quantity: 2 }
    const keeps: Acknowledger['keeps'] = (_saleId, _seen, orders) =>
      Promise.resolve({ outcome: 'kept', orders: new Map(orders.map((order) => [order.id, { ...order, ...keptAs }])) })
    const rushing = await start({ settings: { acknowledger: { keeps } } })
    const desk = first(rushing.desks)
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('outcome_unknown')
    keptAs = { fareId: 'other' }
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'bob', key: 'b' })))).toBe('outcome_unknown')
    keptAs = {}
    expect(codeOf(await settled(rushing.buy(desk, { buyer: 'ann', key: 'a' })))).toBe('replayed')
  })

  it('of a store that is another one since has the same items judged anew', async () => {
    const { acknowledger, say } = acknowledging()
    const rushing = await start({ settings: { acknowledger } })
    const desk = first(rushing.desks)
    say('void')
    const waiting = rushing.buy(desk, { buyer: 'ann', key: 'a' })
    await vi.advanceTimersByTimeAsync(20)
    // What the store held is lost, as with a failover to a replica that lagged.
    recordOf(rushing.stock).orders.clear()
    recordOf(rushing.stock).buyers.clear()
    const fare = recordOf(rushing.stock).fares.get(FARE)
    if (fare === undefined) throw new Error('no fare')
    fare.remaining = fare.stock
    fare.held = 0
    expect([desk.quota.fare(FARE)?.confirmed, desk.confirmedInEra, desk.journal.orders]).toEqual([0, 0, []])
    say('kept')
    expect(codeOf(await settled(waiting))).toBe('held')
    expect([desk.quota.fare(FARE)?.confirmed, desk.confirmedInEra]).toEqual([1, 1])
    expect(historyFaults(rushing, 10)).toEqual([])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('may come late, or not, in any order (seed %i)', async (seed) => {
    const random = seededRandom(seed)
    const keeps = async (): Promise<Kept> => {
      await new Promise((resolve) => {
        setTimeout(resolve, random.below(30))
      })
      const draw = random.below(10)
      if (draw === 0) throw new StoreError('timeout', 'unknown', 'Command timed out')
      if (draw === 1) return { outcome: 'void' }
      return { outcome: draw < 5 ? 'not_yet' : 'kept' }
    }
    const rushing = await start({
      seed,
      tickets: 30,
      desks: 3,
      troubleShare: 0.1,
      settings: { acknowledger: { keeps } },
    })
    const buyers = Array.from({ length: 50 }, (_, index) =>
      rushing.insist({ buyer: `b${index}`, key: 'k', quantity: 1 + rushing.random.below(2) }),
    )
    await settled(Promise.all(buyers))
    await vi.advanceTimersByTimeAsync(2000)
    expect(rushing.faults).toEqual([])
    expect(historyFaults(rushing, 30)).toEqual([])
  })
})

describe('whoever listens to a desk', () => {
  it('hears of orders made and settled at other desks, and of gaps', async () => {
    const rushing = await start({ desks: 2 })
    const [here, there] = rushing.desks
    if (here === undefined || there === undefined) throw new Error('two desks')
    const heard: string[] = []
    here.listener = {
      isWaiting: true,
      onOrders({ orderIds, buyers, settled: fates }) {
        for (const [i, id] of orderIds.entries()) heard.push(`${buyers[i] ?? ''} ${id}`)
        heard.push(...fates)
      },
      onGap: () => heard.push('gap'),
    }
    await settled(rushing.buy(there, { buyer: 'ann', key: 'k' }))
    const id = ordersOf(rushing.stock)[0]?.id ?? ''
    await vi.advanceTimersByTimeAsync(600)
    expect(heard).toEqual([`ann ${id}`])
    await rushing.stock.sales.settle(SALE, [{ orderId: id, fate: { state: 'paid' }, atMs: 1 }], there.quota.seen)
    await vi.advanceTimersByTimeAsync(600)
    expect(heard).toEqual([`ann ${id}`, id])
    rushing.restartStore()
    await rushing.certify()
    await vi.advanceTimersByTimeAsync(1000)
    expect(heard).toContain('gap')
  })
})
