/**
 * Whatever comes in whatever order: after every step money and stock agree, and in the end every charge is kept for one
 * paid order or was given back, once.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LedgerOrder } from '../ledger/ledger.ts'
import { DATABASES, MoneyWorld, openSharedLedger, type SharedLedger } from './testing/money-world.ts'

const CHARGES = ['a', 'b'] as const

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('paid' as const), charge: fc.constantFrom(...CHARGES) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('refunded' as const), charge: fc.constantFrom(...CHARGES) }) },
  fc.record({ act: fc.constant('failed' as const), charge: fc.constantFrom(...CHARGES) }),
  fc.record({ act: fc.constant('forged' as const), charge: fc.constantFrom(...CHARGES) }),
  fc.record({ act: fc.constantFrom('cancel', 'lapse', 'sweep', 'operator', 'work', 'rival', 'lineDies', 'lineLives') }),
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** What the buyer's bank saw, kept apart from the books under test. */
class Bank {
  readonly moved = new Set<string>()
  readonly returned = new Set<string>()
  readonly problems: string[] = []

  giveBack(chargeId: string, how: string): void {
    if (this.returned.has(chargeId)) this.problems.push(`${chargeId} given back again: ${how}`)
    this.moved.add(chargeId)
    this.returned.add(chargeId)
  }

  /** Charges that are not with the buyer again. */
  get kept(): number {
    return this.moved.size - this.returned.size
  }
}

class Story {
  readonly world: MoneyWorld
  readonly order: LedgerOrder
  readonly bank = new Bank()
  #lineIsDead = false

  constructor(world: MoneyWorld, order: LedgerOrder) {
    this.world = world
    this.order = order
    world.answerRefund = ({ chargeId }) => {
      if (this.#lineIsDead) throw new Error('the line is dead')
      this.bank.giveBack(chargeId, 'we asked')
      return { outcome: 'done' }
    }
  }

  async take(one: Step): Promise<void> {
    const { world, order, bank } = this
    switch (one.act) {
      case 'paid':
        bank.moved.add(this.#charge(one.charge))
        await this.#hear(one.charge, 'paid')
        break
      case 'refunded':
        if (bank.returned.has(this.#charge(one.charge))) break
        bank.giveBack(this.#charge(one.charge), 'the provider decided')
        await this.#hear(one.charge, 'refunded')
        break
      case 'failed':
        await this.#hear(`attempt-${one.charge}`, 'failed')
        break
      case 'forged':
        await world.hear(world.event(order, 'paid', { chargeId: 'ch-forged' }), 'not the secret')
        break
      case 'cancel':
        await world.cancel(order)
        break
      case 'lapse':
        world.lapse()
        break
      case 'sweep':
        await world.settle(await world.ledger.expire(world.saleId, world.clock.nowMs(), 10))
        break
      case 'operator':
        for (const { id, state } of await world.orders()) if (state === 'paid') await world.cashier.refund(id)
        break
      case 'work':
        await world.cashier.work()
        break
      case 'rival':
        await world.buy('rival')
        break
      case 'lineDies':
      case 'lineLives':
        this.#lineIsDead = one.act === 'lineDies'
        break
    }
  }

  async end(): Promise<void> {
    this.#lineIsDead = false
    await this.world.finish()
  }

  #charge(name: string): string {
    return `ch-${name}-${this.order.id}`
  }

  async #hear(charge: string, kind: 'paid' | 'failed' | 'refunded'): Promise<void> {
    const { world, order } = this
    await world.hear(world.event(order, kind, { chargeId: this.#charge(charge) }))
  }
}

describe.each(DATABASES)('events in any order, on %s', (kind) => {
  let shared: SharedLedger
  beforeAll(async () => {
    shared = await openSharedLedger(kind)
  })
  afterAll(async () => shared.close())

  it('end with money and stock in agreement, at every step', async () => {
    const stories = fc.record({
      latePayment: fc.constantFrom('retake' as const, 'refund' as const),
      steps: fc.array(step, { minLength: 1, maxLength: 14 }),
    })
    await fc.assert(
      fc.asyncProperty(stories, async ({ latePayment, steps }) => {
        const world = await MoneyWorld.open(shared, { latePayment, stock: 2, limitPerBuyer: 2 })
        const story = new Story(world, await world.buyAndStart())
        for (const one of steps) {
          await story.take(one)
          expect(await world.problems()).toEqual([])
        }
        await story.end()
        expect(await world.problems()).toEqual([])
        expect(story.bank.problems).toEqual([])
        const orders = await world.orders()
        expect(story.bank.kept).toBe(orders.filter(({ state }) => state === 'paid').length)
        const charges = (await world.books.money(world.saleId, null, 10)).flatMap((order) => order.charges)
        expect(charges.every(({ state }) => state === 'kept' || state === 'refunded')).toBe(true)
      }),
      { numRuns: 40 },
    )
  }, 300_000)
})
