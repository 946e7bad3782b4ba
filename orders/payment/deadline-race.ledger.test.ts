/**
 * Ten thousand orders, each paid, cancelled and swept within 5 ms of its deadline: exactly one of them wins each order,
 * and afterwards money and stock agree to the last one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { seededRandom } from '../../runtime/random.ts'
import type { Order, SaleDefinition } from '../../stock/core/words.ts'
import { moneyProblems } from './agreement.ts'
import { EventQueue } from './event-queue.ts'
import { PaymentLedger } from './payment-ledger.ts'
import { DATABASES, openSharedLedger, type SharedLedger } from './testing/money-world.ts'

const ORDERS = 10_000
const PER_ROUND = 500
/** Acts under way at once. */
const AT_ONCE = 40
const CANCELLED_TOGETHER = 10
const NEAR_MS = 5
const HOLD_MS = 1000
const SEED = 20_261_122
const HOUR_MS = 3_600_000
const PRICE = { amount: 700, currency: 'EUR' }

const definition: SaleDefinition = {
  id: 'race',
  name: 'The race',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: HOLD_MS,
  orderIdSecret: 'ef'.repeat(32),
  fares: [{ id: 'seat', name: 'Seat', price: PRICE, stock: ORDERS }],
}

type Act = (storeNowMs: number) => Promise<void>

class Race {
  /** Order id to everyone who was told that it won. */
  readonly winners = new Map<string, string[]>()
  readonly #shared: SharedLedger
  readonly #books: PaymentLedger
  readonly #events: EventQueue
  readonly #random = seededRandom(SEED)
  /** An hour ago by the ledger's clock: what is left to say when a hold lapses is the store's. */
  readonly #deadlineMs = systemClock.nowMs() - HOUR_MS

  constructor(shared: SharedLedger) {
    this.#shared = shared
    this.#books = new PaymentLedger(shared.database, shared.ledger)
    this.#events = new EventQueue(this.#books)
  }

  async run(): Promise<void> {
    await this.#shared.ledger.createSale(definition)
    for (let round = 0; round < ORDERS / PER_ROUND; round += 1) {
      const orders = this.#heldOrders(round)
      await this.#take(round, orders)
      const groups = Array.from({ length: PER_ROUND / CANCELLED_TOGETHER }, (_, group) =>
        orders.slice(group * CANCELLED_TOGETHER, (group + 1) * CANCELLED_TOGETHER),
      )
      const sweeps = Array.from({ length: 25 }, () => this.#sweep())
      await this.#runAll([
        ...orders.map((order) => this.#pay(order)),
        ...groups.map((group) => this.#cancel(group)),
        ...sweeps,
      ])
    }
  }

  async expectAgreement(): Promise<void> {
    const { ledger, database } = this.#shared
    const paid = [...this.winners.values()].filter(([one]) => one === 'payment').length
    expect(await ledger.sums('race')).toEqual([{ fareId: 'seat', held: 0, paid }])
    expect(await ledger.sale('race')).toMatchObject({ fares: [{ held: 0, paid }] })
    const [charges] = await database.query(
      `select count(*) filter (where state = 'kept') as kept, count(*) filter (where state = 'refunding') as refunding
       from charges`,
    )
    expect(charges).toEqual({ kept: paid, refunding: ORDERS - paid })
    let after: string | null = null
    let seen = 0
    do {
      const page = await this.#books.money('race', after, 1000)
      expect(page.flatMap((order) => moneyProblems(order, this.#deadlineMs))).toEqual([])
      seen += page.length
      after = page.at(-1)?.orderId ?? null
    } while (after !== null)
    expect(seen).toBe(ORDERS)
  }

  #won(orderId: string, who: string): void {
    this.winners.set(orderId, [...(this.winners.get(orderId) ?? []), who])
  }

  #heldOrders(round: number): Order[] {
    return Array.from({ length: PER_ROUND }, (_, index): Order => {
      const id = String(round * PER_ROUND + index).padStart(26, '0')
      // Deadlines spread over 5 ms.
      const createdAtMs = this.#deadlineMs - HOLD_MS + this.#random.below(NEAR_MS + 1)
      const fixed = { fareId: 'seat', quantity: 1, state: 'held', reason: null, createdSeq: 1 } as const
      const none = { paidAtMs: null, paidSeq: null, releasedAtMs: null, releasedSeq: null }
      return { id, buyer: `b${id}`, createdAtMs, ...fixed, ...none }
    })
  }

  async #take(round: number, orders: readonly Order[]): Promise<void> {
    const { ledger, database } = this.#shared
    const after = { era: round === 0 ? 0 : 1, seq: round }
    const taken = await ledger.take('race', { storeEra: 1, after, upTo: { era: 1, seq: round + 1 }, orders })
    expect(taken).toMatchObject({ outcome: 'taken', inserted: PER_ROUND })
    await database.query(
      `insert into payments (order_id, provider, reference, redirect_url, amount, currency, created_ms)
       select id, 'p', id, '/', $2::bigint, $3::text, 0 from unnest($1::text[]) as n (id)`,
      [orders.map(({ id }) => id), PRICE.amount, PRICE.currency],
    )
  }

  #pay({ id }: Order): Act {
    const event = { id: `e${id}`, kind: 'paid', reference: id, chargeId: `c${id}`, ...PRICE, occurredAtMs: 0 } as const
    return async (nowMs) => {
      const context = { nowMs, storeNowMs: () => nowMs, latePayment: 'refund' } as const
      const result = await this.#events.hear('p', event, context)
      if (result.outcome !== 'applied') throw new Error(`payment of ${id}: ${result.outcome}`)
      for (const order of result.changed) this.#won(order.id, order.state === 'paid' ? 'payment' : 'late payment')
    }
  }

  #cancel(orders: readonly Order[]): Act {
    const fate = { state: 'released', reason: 'cancelled' } as const
    const decisions = orders.map(({ id }) => ({ orderId: id, fate }))
    return async (storeNowMs) => {
      const results = await this.#shared.ledger.decide(decisions, storeNowMs)
      for (const [index, { outcome }] of results.entries()) {
        if (outcome === 'decided') this.#won(orders[index]?.id ?? '', 'cancel')
      }
    }
  }

  #sweep(): Act {
    return async (storeNowMs) => {
      for (const { id } of await this.#shared.ledger.expire('race', storeNowMs, 37)) this.#won(id, 'sweep')
    }
  }

  /** In a random order, many at once, while the store's clock goes from 5 ms before the deadlines to 5 ms after. */
  async #runAll(acts: Act[]): Promise<void> {
    const shuffled = acts
      .map((act) => ({ act, place: this.#random.next() }))
      .toSorted((a, b) => a.place - b.place)
      .map(({ act }) => act)
    let next = 0
    const runOn = async (): Promise<void> => {
      while (next < shuffled.length) {
        const act = shuffled[next]
        const storeNowMs = this.#deadlineMs - NEAR_MS + Math.floor((3 * NEAR_MS * next) / shuffled.length)
        next += 1
        await act?.(storeNowMs)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, runOn))
  }
}

describe.each(DATABASES)('ten thousand races within 5 ms of the deadline, on %s', (kind) => {
  let shared: SharedLedger
  beforeAll(async () => {
    shared = await openSharedLedger(kind)
  })
  afterAll(async () => shared.close())

  it(`have one winner each (seed ${SEED})`, async () => {
    const race = new Race(shared)
    await race.run()
    const contested = [...race.winners.values()]
    expect(contested.length).toBe(ORDERS)
    expect(contested.filter((all) => all.length !== 1)).toEqual([])
    // Each of them wins some, or it was no race.
    for (const who of ['payment', 'late payment', 'cancel', 'sweep']) {
      expect(contested.filter(([one]) => one === who).length, who).toBeGreaterThan(20)
    }
    await race.expectAgreement()
  }, 600_000)
})
