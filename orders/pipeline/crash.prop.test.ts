/**
 * Processes that die at any call, before or after its effect, and others that come after them: every order is in the
 * ledger once, the counters are lawful, every fate is told, and no fate once answered is another one later.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { conservationFault } from '../../stock/core/sale-record.ts'
import type { Fate } from '../ledger/ledger.ts'
import { Mortal } from './testing/crashing.ts'
import { createWorld, FARE, HOLD_MS, type Process, rowsOf, SALE, takeAll, type World } from './testing/world.ts'

const TICKETS = 40
const RUNS = 500

const FATES = {
  pay: { state: 'paid' },
  cancel: { state: 'released', reason: 'cancelled' },
  refund: { state: 'released', reason: 'refunded' },
  expire: { state: 'released', reason: 'expired' },
} as const satisfies Record<string, Fate>

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('buy' as const), buyers: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('turn' as const),
      process: fc.nat(1),
      work: fc.constantFrom('taking', 'taking', 'reconciler', 'sweep', 'holds', 'trimming'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fate' as const),
      process: fc.nat(1),
      order: fc.nat(10),
      fate: fc.constantFrom('pay', 'pay', 'cancel', 'refund', 'expire'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(10, 1000, 6000, HOLD_MS / 2, HOLD_MS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('mortal' as const),
      process: fc.nat(1),
      atCall: fc.integer({ min: 1, max: 12 }),
      afterEffect: fc.boolean(),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

class Run {
  readonly world: World
  /** What was answered as decided, by order, in order. */
  readonly answered = new Map<string, string[]>()
  /** Orders that somebody tried to refund, whether or not they lived to say so. */
  readonly refunding = new Set<string>()
  readonly #processes: [Process, Process]
  readonly #mortals: [Mortal, Mortal]
  readonly #bought: string[] = []
  #buyers = 0

  constructor(world: World) {
    this.world = world
    const never = { atCall: Number.POSITIVE_INFINITY, afterEffect: false }
    this.#mortals = [new Mortal(never), new Mortal(never)]
    this.#processes = [world.start(), world.start()]
  }

  async perform(one: Step): Promise<void> {
    switch (one.do) {
      case 'buy': {
        const buyers = Array.from({ length: one.buyers }, () => `b${(this.#buyers += 1)}`)
        for (const { id } of await this.world.buy(...buyers)) this.#bought.push(id)
        return
      }
      case 'wait':
        this.world.clock.advance(one.ms)
        return
      case 'mortal':
        this.#begin(one.process, one)
        return
      case 'turn':
        return this.#survive(one.process, (process) => process[one.work].turn())
      case 'fate': {
        const orderId = this.#bought[one.order % Math.max(this.#bought.length, 1)]
        if (orderId === undefined) return
        if (one.fate === 'refund') this.refunding.add(orderId)
        return this.#survive(one.process, async (process) => {
          const result = await process.fates.decide(orderId, FATES[one.fate])
          // An answer that a dead process would have given is none.
          if (this.#mortals[one.process === 0 ? 0 : 1].isDead) return
          const told = this.answered.get(orderId) ?? []
          if (result.outcome === 'decided') this.answered.set(orderId, [...told, one.fate])
        })
      }
    }
  }

  /** Another process takes the place of the one before. */
  #begin(which: number, death: { readonly atCall: number; readonly afterEffect: boolean }): void {
    const place = which === 0 ? 0 : 1
    const mortal = new Mortal(death)
    this.#mortals[place] = mortal
    this.#processes[place] = this.world.start({
      ledger: mortal.port(this.world.ledger),
      store: mortal.port(this.world.stock.sales),
    })
  }

  async #survive(which: number, act: (process: Process) => Promise<unknown>): Promise<void> {
    const place = which === 0 ? 0 : 1
    try {
      await act(this.#processes[place])
    } catch (error) {
      if (!this.#mortals[place].isDead) throw error
    }
    if (this.#mortals[place].isDead) this.#begin(place, { atCall: Number.POSITIVE_INFINITY, afterEffect: false })
  }
}

async function heal(world: World): Promise<void> {
  const process = world.start()
  for (let round = 0; round < 3; round += 1) {
    await takeAll(process)
    await process.sweep.turn()
    await process.reconciler.turn()
  }
}

const LAST_STATE: Record<string, string> = { pay: 'paid', cancel: 'cancelled', refund: 'refunded', expire: 'expired' }

async function check({ world, answered, refunding }: Run): Promise<void> {
  const record = world.stock.saleRecords.get(SALE)
  const fare = record?.fares.get(FARE)
  if (record === undefined || fare === undefined) throw new Error('no sale')
  expect(conservationFault(FARE, fare)).toBeNull()
  const rows = await rowsOf(world.ledger)
  const stored = new Map([...record.orders.values()].map(({ id, state, reason }) => [id, reason ?? state]))
  expect(rows).toEqual(stored)
  expect((await world.ledger.sale(SALE))?.fares[0]).toMatchObject({ held: fare.held, paid: fare.paid })
  for (const [orderId, fates] of answered) {
    const last = LAST_STATE[fates.at(-1) ?? '']
    expect(last === 'paid' && refunding.has(orderId) ? ['paid', 'refunded'] : [last]).toContain(rows.get(orderId))
  }
  // An order that was paid may only be refunded after, and nothing comes after a release.
  for (const fates of answered.values()) expect(['pay', 'pay refund', fates[0]]).toContain(fates.join(' '))
}

describe('whatever dies when', () => {
  it(`orders and fates are whole afterwards, in ${RUNS} histories`, { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
        const run = new Run(await createWorld(TICKETS))
        for (const one of steps) await run.perform(one)
        await heal(run.world)
        await check(run)
      }),
      { numRuns: RUNS },
    )
  })
})
