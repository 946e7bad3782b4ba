import { beforeEach, describe, expect, it } from 'vitest'
import type { Acts, Turn } from '../ledger/act-ledger.ts'
import { testWorld, type TestWorld } from '../../coordinator/operations/testing/test-world.ts'
import type { SaleFile } from '../../config/sale-file.ts'
import type { FareRecord } from '../../stock/core/sale-record.ts'
import type { StockPort } from '../../stock/port.ts'
import { inMemoryOrders, type InMemoryOrders } from '../testing/in-memory-orders.ts'
import { differencesOf } from './difference.ts'

const fare = (id: string, stock: number) => ({ id, name: id, price: { amount: 100, currency: 'CNY' }, stock })
const FILE: SaleFile = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 300_000,
  fares: [fare('first', 10), fare('second', 100)],
}

let world: TestWorld
let orders: InMemoryOrders

beforeEach(async () => {
  world = testWorld()
  orders = world.process
  await world.port.fleet.certify(0, 1)
})

async function stockOf(fareId: string, saleId = 'demo'): Promise<[ledger: number, store: number]> {
  const sale = await orders.ledger.sale(saleId)
  const stock = sale?.fares.find((one) => one.fareId === fareId)?.stock ?? -1
  return [stock, world.record(saleId).fares.get(fareId)?.stock ?? -1]
}

function damage(fareId: string, change: Partial<FareRecord>): void {
  const { fares } = world.record('demo')
  const record = fares.get(fareId)
  if (record !== undefined) fares.set(fareId, { ...record, ...change })
}

async function states(): Promise<[ledger: string, store: string]> {
  return [(await orders.ledger.sale('demo'))?.state ?? '', world.record('demo').state]
}

/** Of an act that the store never heard of. */
async function turnAt(acts: Acts): Promise<Turn> {
  return (await acts.beginTurn('demo', 0)) ?? { saleId: 'demo', number: 0 }
}

/** Such as an opening is to resume. */
async function makePaused(): Promise<void> {
  world = testWorld()
  orders = world.process
  await world.port.fleet.certify(0, 1)
  await orders.acts.create(FILE)
  for (const change of ['open', 'pause'] as const) await orders.acts.change('demo', change)
}

/** As a coordinator's leader does while no orders process answers. */
function pauseInStoreAlone(): Promise<unknown> {
  return world.port.sales.change('demo', 'pause', { era: 0, seq: 0 }, { lease: 1 })
}

async function rounds(ms = 3000): Promise<void> {
  for (let passed = 0; passed < ms; passed += 200) {
    world.advance(200)
    await orders.round().catch(() => {})
  }
}

/** Of a new world: whether it came to its step `at`, and died after it. */
async function raiseThatDies(at: number): Promise<boolean> {
  world = testWorld()
  orders = world.process
  await world.port.fleet.certify(0, 1)
  await orders.acts.create(FILE)
  const { process, died } = dying(at, 'after')
  await process.acts.setStock('demo', 'first', 25).catch(() => {})
  return died()
}

it('opened by hand, a sale is rehearsed first; one that was paused goes on at once', async () => {
  const { port, rules, monotonicMs, askNode } = world
  const rehearsed: string[][] = []
  const rehearse = async (): Promise<void> => void rehearsed.push(await states())
  const { ledger, actLedger } = orders
  const shared = { ledger, actLedger }
  const { acts } = inMemoryOrders({ port, rules, nowMs: monotonicMs, askNode, shared, rehearse })
  await acts.create(FILE)
  expect(rehearsed).toEqual([])
  await acts.change('demo', 'open')
  expect(rehearsed).toEqual([['draft', 'draft']])
  for (const change of ['open', 'pause', 'open', 'close'] as const) await acts.change('demo', change)
  expect(rehearsed).toHaveLength(1)
})

describe('making a sale', () => {
  it('makes a draft, or one with an hour, with a secret of its own, in ledger and store', async () => {
    expect(await orders.acts.create(FILE)).toMatchObject({ outcome: 'created' })
    await orders.acts.create({ ...FILE, id: 'later', opensAtMs: world.monotonicMs() + 60_000 })
    expect(await states()).toEqual(['draft', 'draft'])
    expect(world.record('later').state).toBe('scheduled')
    const { definition, era } = world.record('demo')
    expect(definition.orderIdSecret).toMatch(/^[0-9a-f]{64}$/)
    expect(definition.orderIdSecret).not.toBe(world.record('later').definition.orderIdSecret)
    expect(await orders.ledger.sale('demo')).toMatchObject({ definition, era, watermark: { version: { seq: 1 } } })
    expect((await world.port.fleet.read()).saleIds).toEqual(['demo', 'later'])
  })

  it('leaves an equal one as it is, and refuses another with every difference', async () => {
    await orders.acts.create(FILE)
    await orders.acts.change('demo', 'open')
    expect(await orders.acts.create(FILE)).toMatchObject({ outcome: 'unchanged' })
    expect(await states()).toEqual(['open', 'open'])
    await expect(orders.acts.create({ ...FILE, limitPerBuyer: 3 })).rejects.toMatchObject({
      code: 'sale_differs',
      details: { differences: [{ path: 'limitPerBuyer', stored: 2, file: 3 }] },
    })
  })

  it('is completed after a crash between ledger and store', async () => {
    await orders.ledger.createSale({ ...FILE, orderIdSecret: 'ab'.repeat(32) })
    await rounds()
    expect(world.record('demo').definition.orderIdSecret).toBe('ab'.repeat(32))
    expect((await world.port.fleet.read()).saleIds).toEqual(['demo'])
  })

  it('takes over a sale that only the store knew', async () => {
    await world.port.sales.create({ ...FILE, orderIdSecret: 'ab'.repeat(32) }, 7)
    await world.port.fleet.addSale('demo')
    await world.port.sales.change('demo', 'open', { era: 0, seq: 0 })
    await rounds()
    expect(await orders.ledger.sale('demo')).toMatchObject({ state: 'open', era: 7 })
    expect(orders.recovery.cases()).toEqual([])
  })
})

describe('state and stock', () => {
  beforeEach(async () => {
    await orders.acts.create(FILE)
  })

  it('pauses, resumes, closes, and refuses to open what is closed', async () => {
    for (const change of ['open', 'pause', 'open', 'close'] as const) {
      expect(await orders.acts.change('demo', change)).toMatchObject({ outcome: 'changed' })
      expect(await orders.acts.change('demo', change)).toMatchObject({ outcome: 'unchanged' })
    }
    expect(await states()).toEqual(['closed', 'closed'])
    await expect(orders.acts.change('demo', 'open')).rejects.toMatchObject({ code: 'sale_closed' })
    await expect(orders.acts.change('nope', 'open')).rejects.toMatchObject({ code: 'no_such_sale' })
  })

  it('raises and lowers, never below what is held', async () => {
    await orders.acts.setStock('demo', 'first', 20)
    expect(await stockOf('first')).toEqual([20, 20])
    await orders.acts.setStock('demo', 'first', 0)
    expect(await stockOf('first')).toEqual([0, 0])
    damage('second', { held: 5, remaining: 95 })
    await expect(orders.acts.setStock('demo', 'second', 4)).rejects.toMatchObject({ code: 'below_held_and_paid' })
    expect(await stockOf('second')).toEqual([100, 100])
    await expect(orders.acts.setStock('demo', 'third', 4)).rejects.toMatchObject({ code: 'no_such_fare' })
    await expect(orders.acts.setStock('demo', 'second', -1)).rejects.toMatchObject({ code: 'bad_request' })
  })

  it('carries what is left, and nothing when nothing is', async () => {
    const [from, to] = [
      { saleId: 'demo', fareId: 'first' },
      { saleId: 'demo', fareId: 'second' },
    ]
    expect(await orders.acts.transfer(from, to)).toMatchObject({ tickets: 10 })
    expect([await stockOf('first'), await stockOf('second')]).toEqual([
      [0, 0],
      [110, 110],
    ])
    expect(await orders.acts.transfer(from, to)).toMatchObject({ tickets: 0 })
    await expect(orders.acts.transfer(from, from)).rejects.toMatchObject({ code: 'bad_request' })
  })
})

/** Every call that changes something, in the store or in the ledger, by number: the process dies before or after it. */
function dying(at: number, when: 'before' | 'after'): { process: InMemoryOrders; died: () => boolean } {
  let calls = 0
  let dead = false
  const CHANGES = ['create', 'change', 'setStock', 'addSale', 'createSale', 'beginState', 'followState', 'beginStock']
  const CHANGES_TOO = [
    'followStock',
    'told',
    'beginTransfer',
    'dropTransfer',
    'carryTransfer',
    'raiseWatermark',
    'beginTurn',
  ]
  const mortal = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(from, name) {
        const value: unknown = Reflect.get(from, name)
        if (typeof value !== 'function') return value
        return async (...given: unknown[]) => {
          const counts = [...CHANGES, ...CHANGES_TOO].includes(String(name))
          const isLast = counts && ++calls === at
          if (dead || (isLast && when === 'before')) {
            dead = true
            throw new Error('dead')
          }
          const answer: unknown = await Reflect.apply(value, from, given)
          if (isLast) {
            dead = true
            throw new Error('dead')
          }
          return answer
        }
      },
    })
  const { port, rules, monotonicMs, askNode } = world
  const mortalPort: StockPort = { ...port, sales: mortal(port.sales), fleet: mortal(port.fleet) }
  const shared = { ledger: mortal(orders.ledger), actLedger: mortal(orders.actLedger) }
  const process = inMemoryOrders({ port: mortalPort, rules, nowMs: monotonicMs, askNode, shared })
  return { process, died: () => dead }
}

type Act = (process: InMemoryOrders) => Promise<unknown>

const ACTS: readonly (readonly [name: string, prepare: readonly Act[], act: Act])[] = [
  ['opening', [], ({ acts }) => acts.change('demo', 'open')],
  ['pausing', [({ acts }) => acts.change('demo', 'open')], ({ acts }) => acts.change('demo', 'pause')],
  ['closing', [({ acts }) => acts.change('demo', 'open')], ({ acts }) => acts.change('demo', 'close')],
  ['raising', [], ({ acts }) => acts.setStock('demo', 'first', 25)],
  ['lowering', [], ({ acts }) => acts.setStock('demo', 'first', 3)],
  [
    'carrying',
    [],
    ({ acts }) => acts.transfer({ saleId: 'demo', fareId: 'first' }, { saleId: 'demo', fareId: 'second' }),
  ],
]

describe('a process that dies in the middle of an act', () => {
  for (const [name, prepare, act] of ACTS) {
    for (const when of ['before', 'after'] as const) {
      it(`${name}, ${when} any step: ledger and store come to agree, and no ticket comes into being`, async () => {
        for (let at = 1, wasReached = true; wasReached; at += 1) {
          world = testWorld()
          orders = world.process
          await world.port.fleet.certify(0, 1)
          await orders.acts.create(FILE)
          for (const one of prepare) await one(orders)
          const before = await states()
          const { process, died } = dying(at, when)
          const error: unknown = await act(process).catch((thrown: unknown) => thrown)
          wasReached = died()
          const [first, second] = [await stockOf('first'), await stockOf('second')]
          if (name === 'carrying') expect(first[1] + second[1], `step ${at}`).toBeLessThanOrEqual(110)
          await rounds()
          const after = await states()
          expect(after[0], `step ${at}`).toBe(after[1])
          for (const id of ['first', 'second']) {
            const [ledger, store] = await stockOf(id)
            expect(ledger, `step ${at}, ${id}`).toBe(store)
          }
          if (name === 'carrying') expect((await stockOf('first'))[0] + (await stockOf('second'))[0]).toBe(110)
          if (at === 1 && when === 'before') expect(after).toEqual(before)
          if (!wasReached) expect(error, `${name} without a death`).not.toBeInstanceOf(Error)
        }
      })
    }
  }

  /** An opening and a raise that died when the store had been told: the ledger still thinks that it has to be. */
  const TOLD_ALREADY: readonly Act[] = [
    ({ acts }) => acts.change('demo', 'open'),
    async ({ actLedger }) => actLedger.beginState(await turnAt(actLedger), 'open'),
    ({ acts }) => acts.setStock('demo', 'first', 25),
    async ({ actLedger }) => actLedger.beginStock(await turnAt(actLedger), 'first', 25),
  ]
  const STOPPING: readonly (readonly [name: string, act: Act])[] = [
    ['pausing', ({ acts }) => acts.change('demo', 'pause')],
    ['closing', ({ acts }) => acts.change('demo', 'close')],
    ['lowering', ({ acts }) => acts.setStock('demo', 'first', 3)],
  ]

  it.each(STOPPING)('%s: what the store has stopped stays so, whatever died before it', async (_name, act) => {
    const seen = new Set<string>()
    for (let at = 1, wasReached = true; wasReached; at += 1) {
      world = testWorld()
      orders = world.process
      await world.port.fleet.certify(0, 1)
      await orders.acts.create(FILE)
      for (const one of TOLD_ALREADY) await one(orders)
      const { process, died } = dying(at, 'after')
      await act(process).catch(() => {})
      wasReached = died()
      const stopped = [(await states())[1], (await stockOf('first'))[1]]
      seen.add(stopped.join())
      await rounds()
      expect([(await states())[1], (await stockOf('first'))[1]], `step ${at}`).toEqual(stopped)
      expect([(await states())[0], (await stockOf('first'))[0]], `step ${at}`).toEqual(stopped)
    }
    expect(seen.size).toBe(2)
  })

  const BETWEEN: readonly (readonly [name: string, act: Act])[] = [
    ['nobody acts', async () => {}],
    ['a stock is set', ({ acts }) => acts.setStock('demo', 'first', 25)],
    ['a stock is set by one who dies when it began', async () => turnAt(orders.actLedger)],
  ]

  it.each(BETWEEN)(
    'opening: a leader who then pauses in the store alone is heeded, also when %s',
    async (_name, act) => {
      for (const when of ['before', 'after'] as const) {
        for (const isLater of [false, true]) {
          for (let at = 1, wasReached = true; wasReached; at += 1) {
            await makePaused()
            const { process, died } = dying(at, when)
            await process.acts.change('demo', 'open').catch(() => {})
            wasReached = died()
            if (!isLater) await act(orders)
            await pauseInStoreAlone()
            if (isLater) await act(orders)
            await rounds()
            expect(await states(), `${when} step ${at}, ${isLater}`).toEqual(['paused', 'paused'])
          }
        }
      }
    },
  )

  it('an opening that is asked for after the leader paused is completed', async () => {
    await makePaused()
    await pauseInStoreAlone()
    const turn = await turnAt(orders.actLedger)
    await world.port.sales.beginTurn('demo', turn.number, { era: 0, seq: 0 })
    await orders.actLedger.beginState(turn, 'open')
    await rounds()
    expect(await states()).toEqual(['open', 'open'])
  })

  it('opening: it is completed although a pause that came after it was refused', async () => {
    await orders.acts.create(FILE)
    await orders.actLedger.beginState(await turnAt(orders.actLedger), 'open')
    await expect(orders.acts.change('demo', 'pause')).rejects.toMatchObject({ code: 'sale_is_draft' })
    await rounds()
    expect(await states()).toEqual(['open', 'open'])
  })

  it('raising: it is completed although a lowering that came after it was refused', async () => {
    for (let at = 1, wasReached = true; wasReached; at += 1) {
      wasReached = await raiseThatDies(at)
      const raised = (await stockOf('first'))[0]
      damage('first', { held: 5, remaining: (await stockOf('first'))[1] - 5 })
      await expect(orders.acts.setStock('demo', 'first', 3)).rejects.toMatchObject({ code: 'below_held_and_paid' })
      await rounds()
      expect(await stockOf('first'), `step ${at}`).toEqual([raised, raised])
    }
  })

  it('raising: it is completed before what the fare has left is carried away', async () => {
    for (let at = 1, wasReached = true; wasReached; at += 1) {
      wasReached = await raiseThatDies(at)
      const [raised] = await stockOf('first')
      const [from, to] = FILE.fares.map(({ id }) => ({ saleId: 'demo', fareId: id }))
      if (from === undefined || to === undefined) throw new Error('two fares')
      expect(await orders.acts.transfer(from, to), `step ${at}`).toMatchObject({ tickets: raised })
      await rounds()
      expect([await stockOf('first'), await stockOf('second')], `step ${at}`).toEqual([
        [0, 0],
        [100 + raised, 100 + raised],
      ])
    }
  })

  it('leaves what the operator asked for once one half is done', async () => {
    const { acts } = orders
    await acts.create(FILE)
    // The ledger's half of opening; the store's half of pausing.
    await orders.actLedger.beginState(await turnAt(orders.actLedger), 'open')
    await rounds()
    expect(await states()).toEqual(['open', 'open'])
    await world.port.sales.change('demo', 'pause', { era: 0, seq: 0 })
    await rounds()
    expect(await states()).toEqual(['paused', 'paused'])
    await orders.actLedger.beginStock(await turnAt(orders.actLedger), 'first', 30)
    await world.port.sales.setStock('demo', 'second', 40, { era: 0, seq: 0 })
    await rounds()
    expect([await stockOf('first'), await stockOf('second')]).toEqual([
      [30, 30],
      [40, 40],
    ])
  })

  it('does not mend a counter that somebody changed by hand', async () => {
    await orders.acts.create(FILE)
    damage('first', { stock: 11 })
    await rounds()
    expect(world.record('demo').fares.get('first')).toMatchObject({ stock: 11, remaining: 10 })
  })
})

/** A process that, before its call of this number to ledger or store, sleeps until others have done something. */
function sleeping(at: number, meanwhile: () => Promise<unknown>): { process: InMemoryOrders; slept: () => boolean } {
  let calls = 0
  const slow = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(from, name) {
        const value: unknown = Reflect.get(from, name)
        if (typeof value !== 'function') return value
        return async (...given: unknown[]): Promise<unknown> => {
          if (++calls === at) await meanwhile()
          return (await Reflect.apply(value, from, given)) as unknown
        }
      },
    })
  const { port, rules, monotonicMs, askNode } = world
  const slowPort: StockPort = { ...port, sales: slow(port.sales) }
  const shared = { ledger: slow(orders.ledger), actLedger: slow(orders.actLedger) }
  const process = inMemoryOrders({ port: slowPort, rules, nowMs: monotonicMs, askNode, shared })
  return { process, slept: () => calls >= at }
}

describe('two operators at two processes, of whom one falls asleep in the middle', () => {
  const [toFirst, toSecond] = [
    { saleId: 'demo', fareId: 'first' },
    { saleId: 'demo', fareId: 'second' },
  ]
  const STOCKS = [25, 10, 3]
  const AS = [
    ...STOCKS.map((stock): [string, Act, number | null] => [
      `setting ${stock}`,
      ({ acts }) => acts.setStock('demo', 'first', stock),
      stock,
    ]),
    ['carrying it away', ({ acts }) => acts.transfer(toFirst, toSecond), null] as [string, Act, number | null],
    ['carrying to it', ({ acts }) => acts.transfer(toSecond, toFirst), null] as [string, Act, number | null],
  ]

  it.each(AS.flatMap((one) => [30, 20, 10, 8, 2].map((other) => [...one, other] as const)))(
    '%s (%#): what was asked last is done, and the store never has more than the ledger',
    async (_name, act, stock, other) => {
      for (let at = 1, wasReached = true; wasReached; at += 1) {
        world = testWorld()
        orders = world.process
        await world.port.fleet.certify(0, 1)
        await orders.acts.create(FILE)
        const { sales } = world.port
        const setStock = sales.setStock.bind(sales)
        const ahead: string[] = []
        Object.assign(sales, {
          async setStock(...given: Parameters<typeof setStock>) {
            const reply = await setStock(...given)
            const [ledger, store] = await stockOf(given[1])
            if (store > ledger) ahead.push(`${given[1]} has ${store} in the store and ${ledger} in the ledger`)
            return reply
          },
        })
        const { process, slept } = sleeping(at, () => orders.acts.setStock('demo', 'first', other))
        const error: unknown = await act(process).then(
          () => null,
          (thrown: unknown) => thrown,
        )
        wasReached = slept()
        for (const id of ['first', 'second']) {
          const [ledger, store] = await stockOf(id)
          if (store > ledger) ahead.push(`at last ${id} has ${store} in the store and ${ledger} in the ledger`)
        }
        expect(ahead, `step ${at}`).toEqual([])
        if (error !== null) expect(error, `step ${at}`).toMatchObject({ code: 'busy' })
        await rounds()
        for (const id of ['first', 'second']) {
          const [ledger, store] = await stockOf(id)
          expect(ledger, `step ${at}, ${id}`).toBe(store)
        }
        const first = (await stockOf('first'))[0]
        if (error !== null) expect(first, `step ${at}`).toBe(other)
        else if (stock !== null) expect(first, `step ${at}`).toBe(stock)
      }
    },
  )

  it('stays as the second wanted when the first opens and wakes up late', async () => {
    for (let at = 1, wasReached = true; wasReached; at += 1) {
      world = testWorld()
      orders = world.process
      await world.port.fleet.certify(0, 1)
      await orders.acts.create(FILE)
      await orders.acts.change('demo', 'open')
      await orders.acts.change('demo', 'pause')
      const { process, slept } = sleeping(at, () => orders.acts.change('demo', 'close'))
      const error: unknown = await process.acts.change('demo', 'open').then(
        () => null,
        (thrown: unknown) => thrown,
      )
      wasReached = slept()
      await rounds()
      if (wasReached) expect(error, `step ${at}`).toMatchObject({ code: expect.stringMatching(/^(busy|sale_closed)$/) })
      expect(await states(), `step ${at}`).toEqual(wasReached ? ['closed', 'closed'] : ['open', 'open'])
    }
  })

  it('is overtaken by a leader who pauses in the store alone', async () => {
    const seen = new Set<string>()
    for (let at = 1, wasReached = true; wasReached; at += 1) {
      await makePaused()
      const { process, slept } = sleeping(at, pauseInStoreAlone)
      const error: unknown = await process.acts.change('demo', 'open').then(
        () => null,
        (thrown: unknown) => thrown,
      )
      wasReached = slept()
      const state = (await states())[1]
      seen.add(error === null ? `done, ${state}` : `overtaken, ${state}`)
      if (error !== null) expect(error, `step ${at}`).toMatchObject({ code: 'busy' })
      await rounds()
      expect(await states(), `step ${at}`).toEqual([state, state])
    }
    // It sleeps before it begins in the store; in the middle; when it is done but for the ledger's mark.
    expect(seen).toEqual(new Set(['done, open', 'overtaken, paused', 'done, paused']))
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
