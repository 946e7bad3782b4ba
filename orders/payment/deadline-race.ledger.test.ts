/**
 * Ten thousand orders, each paid, cancelled and swept within 5 ms of its deadline: exactly one of them wins each order,
 * and afterwards money and stock agree to the last one.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../runtime/clock.ts'
import { seededRandom } from '../../runtime/random.ts'
import type { Order, SaleDefinition } from '../../stock/core/words.ts'
import type { Database } from '../ledger/database.ts'
import { openLedger } from '../ledger/open-ledger.ts'
import type { SqlLedger } from '../ledger/sql-ledger.ts'
import { moneyProblems } from './agreement.ts'
import { PaymentLedger } from './payment-ledger.ts'

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

let directory = ''
let ledger: SqlLedger
let database: Database
let books: PaymentLedger
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-race-'))
  ;({ ledger, database } = await openLedger(`pglite://${directory}/ledger`))
  books = new PaymentLedger(database, ledger)
  await ledger.createSale(definition)
})
afterAll(async () => {
  await database.close()
  await rm(directory, { recursive: true, force: true })
})

const random = seededRandom(SEED)
/** An hour ago by the ledger's clock: what is left to say when a hold lapses is the store's. */
const deadlineMs = systemClock.nowMs() - HOUR_MS
/** Order id to everyone who was told that it won. */
const winners = new Map<string, string[]>()
const won = (orderId: string, who: string): void => void winners.set(orderId, [...(winners.get(orderId) ?? []), who])

function heldOrders(round: number): Order[] {
  return Array.from({ length: PER_ROUND }, (_, index): Order => {
    const id = String(round * PER_ROUND + index).padStart(26, '0')
    // Deadlines spread over 5 ms.
    const createdAtMs = deadlineMs - HOLD_MS + random.below(NEAR_MS + 1)
    const fixed = { fareId: 'seat', quantity: 1, state: 'held', reason: null, createdSeq: 1 } as const
    const none = { paidAtMs: null, paidSeq: null, releasedAtMs: null, releasedSeq: null }
    return { id, buyer: `b${id}`, createdAtMs, ...fixed, ...none }
  })
}

async function take(round: number, orders: readonly Order[]): Promise<void> {
  const batch = {
    storeEra: 1,
    after: { era: round === 0 ? 0 : 1, seq: round },
    upTo: { era: 1, seq: round + 1 },
    orders,
  }
  expect(await ledger.take('race', batch)).toMatchObject({ outcome: 'taken', inserted: PER_ROUND })
  await database.query(
    `insert into payments (order_id, provider, reference, redirect_url, amount, currency, created_ms)
     select id, 'p', id, '/', $2::bigint, $3, 0 from unnest($1::text[]) as n (id)`,
    [orders.map(({ id }) => id), PRICE.amount, PRICE.currency],
  )
}

type Act = (storeNowMs: number) => Promise<void>

const pay =
  ({ id }: Order): Act =>
  async (storeNowMs) => {
    const event = { id: `e${id}`, kind: 'paid', reference: id, chargeId: `c${id}`, ...PRICE, occurredAtMs: 0 } as const
    const context = { nowMs: storeNowMs, storeNowMs: () => storeNowMs, latePayment: 'refund' } as const
    const result = await books.hear('p', event, context)
    if (result.outcome !== 'applied') throw new Error(`payment of ${id}: ${result.outcome}`)
    for (const order of result.changed) won(order.id, order.state === 'paid' ? 'payment' : 'late payment')
  }

const cancel =
  (orders: readonly Order[]): Act =>
  async (storeNowMs) => {
    const fate = { state: 'released', reason: 'cancelled' } as const
    const results = await ledger.decide(
      orders.map(({ id }) => ({ orderId: id, fate })),
      storeNowMs,
    )
    for (const [index, { outcome }] of results.entries())
      if (outcome === 'decided') won(orders[index]?.id ?? '', 'cancel')
  }

const sweep: Act = async (storeNowMs) => {
  for (const { id } of await ledger.expire('race', storeNowMs, 37)) won(id, 'sweep')
}

/** In a random order, many at once, while the store's clock goes from 5 ms before the deadlines to 5 ms after. */
async function race(acts: Act[]): Promise<void> {
  for (let index = acts.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1)
    const [a, b] = [acts[index], acts[other]]
    if (a !== undefined && b !== undefined) [acts[index], acts[other]] = [b, a]
  }
  let next = 0
  const runOn = async (): Promise<void> => {
    while (next < acts.length) {
      const act = acts[next]
      const storeNowMs = deadlineMs - NEAR_MS + Math.floor((3 * NEAR_MS * next) / acts.length)
      next += 1
      await act?.(storeNowMs)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, runOn))
}

describe('ten thousand races within 5 ms of the deadline', () => {
  it(`have one winner each (seed ${SEED})`, async () => {
    for (let round = 0; round < ORDERS / PER_ROUND; round += 1) {
      const orders = heldOrders(round)
      await take(round, orders)
      const groups = Array.from({ length: PER_ROUND / CANCELLED_TOGETHER }, (_, group) =>
        orders.slice(group * CANCELLED_TOGETHER, (group + 1) * CANCELLED_TOGETHER),
      )
      await race([...orders.map(pay), ...groups.map(cancel), ...Array.from({ length: 25 }, () => sweep)])
    }
    const contested = [...winners.values()]
    expect(contested.length).toBe(ORDERS)
    expect(contested.filter((all) => all.length !== 1)).toEqual([])
    // Each of them wins some, or it was no race.
    for (const who of ['payment', 'late payment', 'cancel', 'sweep']) {
      expect(contested.filter(([one]) => one === who).length, who).toBeGreaterThan(20)
    }
    await expectAgreement(contested.filter(([one]) => one === 'payment').length)
  }, 600_000)
})

async function expectAgreement(paid: number): Promise<void> {
  expect(await ledger.sums('race')).toEqual([{ fareId: 'seat', held: 0, paid }])
  expect(await ledger.sale('race')).toMatchObject({ fares: [{ held: 0, paid }] })
  const [charges] = await database.query<{ kept: number; refunding: number }>(
    `select count(*) filter (where state = 'kept') as kept, count(*) filter (where state = 'refunding') as refunding
     from charges`,
  )
  expect(charges).toEqual({ kept: paid, refunding: ORDERS - paid })
  let after: string | null = null
  let seen = 0
  for (;;) {
    const page = await books.money('race', after, 1000)
    expect(page.flatMap((order) => moneyProblems(order, deadlineMs))).toEqual([])
    seen += page.length
    after = page.at(-1)?.orderId ?? null
    if (page.length < 1000) break
  }
  expect(seen).toBe(ORDERS)
}
