import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { Metrics } from '../../runtime/metrics.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { LedgerOrder } from '../ledger/ledger.ts'
import { PipelineMetrics } from '../pipeline/pipeline-metrics.ts'
import { Settling } from '../pipeline/settling.ts'
import { Sweep } from '../pipeline/sweep.ts'
import { MoneyWorld, openSharedLedger, type SharedLedger, WINDOW_MS } from './testing/money-world.ts'

const DAY_MS = 86_400_000

let shared: SharedLedger
beforeAll(async () => {
  shared = await openSharedLedger()
})
afterAll(async () => shared.close())

/** Sends what the test says and shows that nothing moved. */
async function unmoved(act: (world: MoneyWorld, order: LedgerOrder) => Promise<unknown>): Promise<MoneyWorld> {
  const world = await MoneyWorld.open(shared)
  const order = await world.buyAndStart()
  await act(world, order)
  expect(await world.order(order)).toEqual(order)
  const charges = (await world.books.money(world.saleId, null, 10)).flatMap((one) => one.charges)
  expect(charges).toEqual([])
  // The genuine event is taken as if nothing had been.
  expect(await world.hear(world.event(order, 'paid'))).toMatchObject({ outcome: 'applied', effect: 'kept' })
  return world
}

/** Why each refund of the sale is due. */
async function refundReasons(world: MoneyWorld): Promise<readonly string[]> {
  const money = await world.books.money(world.saleId, null, 100)
  return money.flatMap(({ charges }) => charges.flatMap(({ refund }) => (refund === null ? [] : [refund.reason])))
}

async function timesForged(world: MoneyWorld): Promise<number> {
  const noted = await world.cashier.anomalies(100)
  return noted.find(({ kind }) => kind === 'bad_signature')?.times ?? 0
}

describe('paying', () => {
  it('starts one payment per order, at the same place every time', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    const first = await world.cashier.startPayment(order.id, 'alice')
    expect(first).toEqual({ outcome: 'started', redirectUrl: `/api/payments/sandbox/pay/${order.id}` })
    expect(await world.cashier.startPayment(order.id, 'alice')).toEqual(first)
  })

  it('is for its buyer, and for held orders, only', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    expect(await world.cashier.startPayment(order.id, 'mallory')).toEqual({ outcome: 'no_such_order' })
    expect(await world.cashier.startPayment('0'.repeat(26), 'alice')).toEqual({ outcome: 'no_such_order' })
    await world.cancel(order)
    expect(await world.cashier.startPayment(order.id, 'alice')).toEqual({ outcome: 'not_held' })
    const lapsed = await world.buyAndStart()
    world.lapse()
    expect(await world.cashier.startPayment(lapsed.id, 'alice')).toEqual({ outcome: 'not_held' })
  })

  it('pays the order, tells the store, and answers a repeat of the event without doing it again', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart('alice', 2)
    const paid = world.event(order, 'paid')
    expect(await world.hear(paid)).toMatchObject({ outcome: 'applied', effect: 'kept' })
    expect(await world.order(order)).toMatchObject({ state: 'paid', isSettled: true })
    expect(await world.hear(paid)).toEqual({ outcome: 'replayed' })
    expect(await world.problems()).toEqual([])
  })

  it('is in time while either clock says so', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    world.lapse()
    world.isStoreHeard = false
    expect(await world.hear(world.event(order, 'paid'))).toMatchObject({ effect: 'kept' })
  })
})

/** Keeps the ledger busy until the returned function is called. */
async function occupyLedger(): Promise<() => void> {
  return new Promise((occupied) => {
    void shared.database.transaction(async (transaction) => {
      await transaction.query('select 1')
      await new Promise<void>((letGo) => {
        occupied(letGo)
      })
    })
  })
}

function sweepOf({ saleId, ledger, stock, clock, cashier }: MoneyWorld): Sweep {
  const log = createLogger({ level: 'silent' })
  const metrics = new PipelineMetrics(new Metrics(), () => [])
  const store = stock.sales
  const settling = new Settling({ ledger, store, clock, metrics, log })
  const storeNowMs = (): number => clock.nowMs()
  return new Sweep({ saleId, ledger, store, settling, storeNowMs, metrics, log, judged: () => cashier.judged() })
}

describe('events that wait to be judged', () => {
  it('are judged as of their receipt, and the sweep of a hold that has lapsed since waits for them', async () => {
    const world = await MoneyWorld.open(shared)
    const [order, other] = [await world.buyAndStart(), await world.buyAndStart('bob')]
    const letGo = await occupyLedger()
    const heard = world.hear(world.event(order, 'paid'))
    world.lapse()
    const swept = sweepOf(world).turn()
    letGo()
    expect(await heard).toMatchObject({ outcome: 'applied', effect: 'kept' })
    await swept
    expect(await world.order(order)).toMatchObject({ state: 'paid' })
    expect(await world.order(other)).toMatchObject({ state: 'released', reason: 'expired' })
    expect(await world.problems()).toEqual([])
  })

  it('are judged as of their receipt by the ledger’s clock, too', async () => {
    const world = await MoneyWorld.open(shared, { holdMs: 5000 })
    const order = await world.buyAndStart()
    // The store's clock is ahead: of the two only the ledger's, five seconds before the deadline, says in time.
    const aheadMs = order.holdExpiresAtMs + 1 - world.clock.nowMs()
    const ledgerNow = vi.spyOn(world.clock, 'nowMs').mockReturnValue(world.clock.nowMs() + aheadMs)
    const heardAtMs = world.clock.monotonicMs()
    world.clock.advance(DAY_MS)
    expect(world.clock.monotonicMs() - heardAtMs).toBe(DAY_MS)
    const context = {
      nowMs: world.clock.nowMs(),
      storeNowMs: () => world.clock.nowMs(),
      latePayment: 'refund',
      receivedAgoMs: () => world.clock.monotonicMs() - heardAtMs + 0.25,
    } as const
    expect(await world.books.hear('sandbox', world.event(order, 'paid'), context)).toMatchObject({ effect: 'kept' })
    ledgerNow.mockRestore()
  })

  it('share a transaction, each with its own outcome', async () => {
    const world = await MoneyWorld.open(shared, { stock: 20 })
    const orders = await Promise.all(Array.from({ length: 10 }, (_, index) => world.buyAndStart(`b${index}`)))
    const events = orders.map((order) => world.event(order, 'paid'))
    const [first, second, third] = events
    if (first === undefined || second === undefined || third === undefined) throw new Error('ten orders')
    const alone = vi.spyOn(world.books, 'hear')
    const heard = await Promise.all(
      [...events.slice(0, 2), { ...third, kind: 'failed' as const }, ...events.slice(3), first].map((event) =>
        world.hear(event),
      ),
    )
    // The failed attempt and the repeat.
    expect(alone).toHaveBeenCalledTimes(2)
    const outcomes = heard.map(({ outcome }) => outcome)
    expect(outcomes).toEqual([...Array.from({ length: 10 }, () => 'applied'), 'replayed'])
    const states = await Promise.all(orders.map(async (order) => (await world.order(order)).state))
    expect(states.filter((state) => state === 'paid')).toHaveLength(9)
    expect(await world.problems()).toEqual([])
  })

  it('do not take others with them', async () => {
    const world = await MoneyWorld.open(shared, { stock: 20 })
    const orders = await Promise.all(Array.from({ length: 5 }, (_, index) => world.buyAndStart(`b${index}`)))
    // Two payments cannot share a charge: nobody knows that before both are written down.
    const heard = await Promise.all(
      orders.map((order, index) => world.hear(world.event(order, 'paid', index < 2 ? { chargeId: 'ch-of-two' } : {}))),
    )
    const outcomes = heard.map(({ outcome }) => outcome).toSorted()
    expect(outcomes).toEqual(['applied', 'applied', 'applied', 'applied', 'no_such_payment'])
    expect(await world.problems()).toEqual([])
  })
})

describe('a webhook that is not to be believed', () => {
  it('because it is forged', async () => {
    const world = await unmoved(async (world, order) => {
      const forged = await world.hear(world.event(order, 'paid'), 'some other secret')
      expect(forged).toMatchObject({ outcome: 'refused', why: 'bad_signature' })
    })
    expect(world.metrics.webhooks.bad_signature).toBe(1)
    await world.cashier.work()
    expect(await world.cashier.anomalies(50)).toContainEqual(
      expect.objectContaining({ kind: 'bad_signature', provider: 'sandbox', times: 1 }),
    )
  })

  it('because it was signed too long ago, or far ahead', async () => {
    await unmoved(async (world, order) => {
      const paid = world.event(order, 'paid')
      for (const away of [-WINDOW_MS - 1000, WINDOW_MS + 1000]) {
        const late = await world.hear(paid, undefined, world.clock.nowMs() + away)
        expect(late).toMatchObject({ outcome: 'refused', why: 'stale_timestamp' })
      }
      expect(world.metrics.webhooks.stale_timestamp).toBe(2)
    })
  })

  it('because it says another amount or currency', async () => {
    const world = await unmoved(async (world, order) => {
      const less = await world.hear(world.event(order, 'paid', { amount: 1 }))
      const other = await world.hear(world.event(order, 'paid', { currency: 'CNY' }))
      expect([less.outcome, other.outcome]).toEqual(['wrong_amount', 'wrong_amount'])
      expect(world.metrics.webhooks.wrong_amount).toBe(2)
    })
    const alarms = (await world.cashier.anomalies(50)).filter(({ kind }) => kind === 'wrong_amount')
    expect(alarms).toHaveLength(2)
  })

  it('because nobody knows its reference', async () => {
    await unmoved(async (world, order) => {
      const stray = await world.hear(world.event(order, 'paid', { reference: 'nothing-of-ours' }))
      expect(stray).toMatchObject({ outcome: 'no_such_payment' })
    })
  })

  it('because its charge is of another payment', async () => {
    const world = await MoneyWorld.open(shared)
    const [order, other] = [await world.buyAndStart(), await world.buyAndStart('bob')]
    await world.hear(world.event(other, 'paid', { chargeId: 'ch-of-bob' }))
    const stolen = await world.hear(world.event(order, 'paid', { chargeId: 'ch-of-bob' }))
    expect(stolen).toMatchObject({ outcome: 'no_such_payment' })
    expect(await world.order(order)).toEqual(order)
    expect(await world.problems()).toEqual([])
  })

  it('because it is not what the provider sends', async () => {
    await unmoved(async (world, order) => {
      const odd = world.event(order, 'paid', { amount: 1.5 })
      expect(await world.hear(odd)).toMatchObject({ outcome: 'refused', why: 'malformed' })
      expect(await world.hear({ ...odd, id: 'zero\0byte', amount: 1200 })).toMatchObject({ why: 'malformed' })
    })
  })

  it('because we have no such provider', async () => {
    const world = await MoneyWorld.open(shared)
    expect(await world.cashier.hear('nobody', Buffer.from('{}'), [])).toEqual({ outcome: 'no_such_provider' })
  })

  it('is noted when a known event id comes with another story', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    const paid = world.event(order, 'paid')
    await world.hear(paid)
    expect(await world.hear({ ...paid, chargeId: 'another' })).toEqual({ outcome: 'replayed' })
    expect(await world.cashier.anomalies(50)).toContainEqual(expect.objectContaining({ kind: 'event_changed' }))
    expect(await world.problems()).toEqual([])
  })
})

describe('a ledger that is away', () => {
  it('acknowledges nothing, and the repeat of the event pays', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    const paid = world.event(order, 'paid')
    world.isLedgerAway = true
    await expect(world.hear(paid)).rejects.toBeInstanceOf(DatabaseError)
    world.isLedgerAway = false
    expect(await world.order(order)).toMatchObject({ state: 'held' })
    expect(await world.hear(paid)).toMatchObject({ outcome: 'applied', effect: 'kept' })
  })

  it('loses no count of forged webhooks', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    const before = await timesForged(world)
    await world.hear(world.event(order, 'paid'), 'forged')
    world.isLedgerAway = true
    await expect(world.cashier.work()).rejects.toBeInstanceOf(DatabaseError)
    world.isLedgerAway = false
    await world.hear(world.event(order, 'paid'), 'forged')
    await world.cashier.work()
    expect(await timesForged(world)).toBe(before + 2)
  })
})

describe('money that cannot be kept goes back', () => {
  it('when the order was cancelled', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.cancel(order)
    expect(await world.hear(world.event(order, 'paid'))).toMatchObject({ effect: 'refunding' })
    expect(await world.order(order)).toMatchObject({ state: 'released', reason: 'cancelled' })
    expect(await refundReasons(world)).toEqual(['cancelled'])
    await world.finish()
    expect(world.refundsAsked).toHaveLength(1)
    expect(await world.problems()).toEqual([])
  })

  it('when the hold had lapsed, swept or not', async () => {
    const world = await MoneyWorld.open(shared)
    const swept = await world.buyAndStart()
    const unswept = await world.buyAndStart('bob')
    world.lapse()
    await world.settle((await world.ledger.expire(world.saleId, world.clock.nowMs(), 1)).slice(0, 1))
    for (const order of [swept, unswept]) {
      expect(await world.hear(world.event(order, 'paid'))).toMatchObject({ effect: 'refunding' })
      expect(await world.order(order)).toMatchObject({ state: 'released', reason: 'expired' })
    }
    expect(await refundReasons(world)).toEqual(['late', 'late'])
    await world.finish()
    expect(world.refundsAsked).toHaveLength(2)
    expect(await world.problems()).toEqual([])
  })

  it('when it is the second for one order', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid', { chargeId: 'ch-first' }))
    const second = await world.hear(world.event(order, 'paid', { chargeId: `ch-second-${world.saleId}` }))
    expect(second).toMatchObject({ outcome: 'applied', effect: 'refunding', changed: [] })
    expect(await refundReasons(world)).toEqual(['second_payment'])
    await world.finish()
    expect(world.refundsAsked.map(({ chargeId }) => chargeId)).toEqual([`ch-second-${world.saleId}`])
    expect(await world.order(order)).toMatchObject({ state: 'paid' })
    expect(await world.problems()).toEqual([])
  })
})

describe('the operator’s refund', () => {
  it('returns the tickets and the money, once', async () => {
    const world = await MoneyWorld.open(shared, { stock: 1 })
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid'))
    expect(await world.buy('bob')).toBeNull()
    expect(await world.cashier.refund(order.id)).toMatchObject({ outcome: 'refunding' })
    expect(await world.cashier.refund(order.id)).toMatchObject({ outcome: 'already' })
    expect(await world.buy('bob')).not.toBeNull()
    await world.finish()
    expect(world.refundsAsked).toHaveLength(1)
    expect(await world.order(order)).toMatchObject({ state: 'released', reason: 'refunded' })
    expect(await world.problems()).toEqual([])
  })

  it('is for paid orders', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    expect(await world.cashier.refund(order.id)).toEqual({ outcome: 'not_paid' })
    expect(await world.cashier.refund('0'.repeat(26))).toEqual({ outcome: 'no_such_order' })
  })

  it('is asked of the provider until it is certain, under one name, with an alarm', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid'))
    await world.cashier.refund(order.id)
    world.answerRefund = () => {
      throw new Error('the line is dead')
    }
    await world.finish()
    expect(world.refundsAsked.length).toBeGreaterThan(6)
    expect(new Set(world.refundsAsked.map(({ refundId }) => refundId)).size).toBe(1)
    expect(await world.cashier.anomalies(100)).toContainEqual(
      expect.objectContaining({ kind: 'refund_overdue', reference: order.id }),
    )
    // Owed, and in the books as owed: no problem of the law.
    expect(await world.problems()).toEqual([])
    world.answerRefund = () => ({ outcome: 'done' })
    await world.finish()
    const [money] = await world.books.money(world.saleId, null, 10)
    expect(money?.charges).toMatchObject([{ state: 'refunded', refund: { state: 'done' } }])
  })

  it('may be confirmed by an event', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid'))
    await world.cashier.refund(order.id)
    world.answerRefund = () => ({ outcome: 'accepted' })
    await world.cashier.work()
    expect(await world.hear(world.event(order, 'refunded'))).toMatchObject({ effect: 'refunded', changed: [] })
    await world.finish()
    expect(world.refundsAsked).toHaveLength(1)
    expect(await world.problems()).toEqual([])
  })
})

describe('what the provider decides', () => {
  it('takes the tickets of an order back whose money it gave back', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid'))
    await world.hear(world.event(order, 'refunded'))
    expect(await world.order(order)).toMatchObject({ state: 'released', reason: 'refunded' })
    await world.finish()
    expect(world.refundsAsked).toEqual([])
    expect(await world.problems()).toEqual([])
  })

  it('ends the same when the refund is told before the payment', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    const paid = world.event(order, 'paid')
    await world.hear(world.event(order, 'refunded'))
    expect(await world.order(order)).toMatchObject({ state: 'held' })
    await world.hear(paid)
    expect(await world.order(order)).toMatchObject({ state: 'released', reason: 'refunded' })
    await world.finish()
    expect(await world.problems()).toEqual([])
  })

  it('does not undo a payment by telling of a failed attempt later', async () => {
    const world = await MoneyWorld.open(shared)
    const order = await world.buyAndStart()
    await world.hear(world.event(order, 'paid'))
    const failed = await world.hear(world.event(order, 'failed', { chargeId: 'attempt-1' }))
    expect(failed).toMatchObject({ outcome: 'applied', effect: 'nothing' })
    expect(await world.order(order)).toMatchObject({ state: 'paid' })
    expect(await world.problems()).toEqual([])
  })
})

describe('latePayment: retake', () => {
  it('buys new tickets with it, under an id that follows from the charge', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake', limitPerBuyer: 1 })
    const order = await world.buyAndStart()
    world.lapse()
    expect(await world.hear(world.event(order, 'paid'))).toMatchObject({ effect: 'retaking' })
    await world.finish()
    const orders = await world.orders()
    expect(orders.map(({ state, reason }) => `${state} ${reason}`).toSorted()).toEqual([
      'paid null',
      'released expired',
    ])
    expect(orders.find(({ state }) => state === 'paid')).toMatchObject({ buyer: 'alice', quantity: 1 })
    expect(world.refundsAsked).toEqual([])
    expect(await world.problems()).toEqual([])
  })

  it('gives the money back when there are no tickets any more', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake', stock: 1 })
    const order = await world.buyAndStart()
    world.lapse()
    await world.settle(await world.ledger.expire(world.saleId, world.clock.nowMs(), 10))
    expect(await world.buy('bob')).not.toBeNull()
    await world.hear(world.event(order, 'paid'))
    await world.finish()
    expect(world.refundsAsked).toHaveLength(1)
    expect((await world.orders()).filter(({ state }) => state === 'paid')).toEqual([])
    expect(await world.problems()).toEqual([])
  })

  it('respects the limit per buyer', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake', limitPerBuyer: 1 })
    const order = await world.buyAndStart()
    world.lapse()
    await world.settle(await world.ledger.expire(world.saleId, world.clock.nowMs(), 10))
    expect(await world.buy('alice')).not.toBeNull()
    await world.hear(world.event(order, 'paid'))
    await world.finish()
    expect(world.refundsAsked).toHaveLength(1)
    expect(await world.problems()).toEqual([])
  })

  it('goes on after a crash between buying and paying, with the same order', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake' })
    const order = await world.buyAndStart()
    world.lapse()
    await world.hear(world.event(order, 'paid'))
    vi.spyOn(world.books, 'finishRetake').mockRejectedValueOnce(new DatabaseError('away', 'killed here'))
    await world.cashier.work()
    expect((await world.orders()).map(({ state }) => state).toSorted()).toEqual(['held', 'released'])
    world.clock.advance(10_000)
    await world.cashier.work()
    expect((await world.orders()).map(({ state }) => state).toSorted()).toEqual(['paid', 'released'])
    expect(await world.problems()).toEqual([])
  })

  it('gives the money back when the new hold lapsed too before it could be paid', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake' })
    const order = await world.buyAndStart()
    world.lapse()
    await world.hear(world.event(order, 'paid'))
    vi.spyOn(world.books, 'finishRetake').mockRejectedValueOnce(new DatabaseError('away', 'killed here'))
    await world.cashier.work()
    world.lapse()
    await world.finish()
    expect((await world.orders()).map(({ state }) => state)).toEqual(['released', 'released'])
    expect(world.refundsAsked).toHaveLength(1)
    expect(await world.problems()).toEqual([])
  })

  it('pays nothing with money that the provider gave back meanwhile', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake' })
    const order = await world.buyAndStart()
    world.lapse()
    await world.hear(world.event(order, 'paid'))
    expect(await world.hear(world.event(order, 'refunded'))).toMatchObject({ effect: 'refunded' })
    await world.finish()
    expect((await world.orders()).filter(({ state }) => state !== 'released')).toEqual([])
    expect(await world.problems()).toEqual([])
  })

  it('pays nothing with money that the provider gave back while the new order was made', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake' })
    const order = await world.buyAndStart()
    world.lapse()
    await world.hear(world.event(order, 'paid'))
    world.afterRetake = async () => {
      await world.hear(world.event(order, 'refunded'))
    }
    await world.finish()
    expect((await world.orders()).map(({ reason }) => String(reason)).toSorted()).toEqual(['cancelled', 'expired'])
    expect(world.refundsAsked).toEqual([])
    expect(await world.problems()).toEqual([])
  })

  it('tells the store first that the old hold is over, if it has not heard', async () => {
    const world = await MoneyWorld.open(shared, { latePayment: 'retake', limitPerBuyer: 1, stock: 1 })
    const order = await world.buyAndStart()
    world.lapse()
    world.isStoreDeaf = true
    await world.hear(world.event(order, 'paid'))
    world.isStoreDeaf = false
    await world.finish()
    expect((await world.orders()).map(({ state }) => state).toSorted()).toEqual(['paid', 'released'])
    expect(world.refundsAsked).toEqual([])
    expect(await world.problems()).toEqual([])
  })
})
