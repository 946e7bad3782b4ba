/** Each checker can fail: a history with one planted fault, and the witness that it names. */
import { describe, expect, it } from 'vitest'
import {
  allEnded,
  auditAgrees,
  exactSale,
  lostOrders,
  noFalseScarcity,
  nothingLost,
  oneOrderPerKey,
  onlyAnswers,
  tally,
  withinLimit,
} from './checkers.ts'
import type { Attempt, History, Purchase } from './client.ts'
import type { AuditReport } from './cluster.ts'

function attempt(change: Partial<Attempt> = {}): Attempt {
  return {
    target: 'http://edge',
    invokedMs: 0,
    completedMs: 1,
    completedAtMs: 1001,
    status: 201,
    code: null,
    orderId: null,
    orderCreatedAtMs: null,
    replayed: false,
    requestId: null,
    fault: null,
    ...change,
  }
}

function purchase(buyer: string, attempts: readonly Attempt[], change: Partial<Purchase> = {}): Purchase {
  return { buyer, token: null, key: `key-${buyer}`, saleId: 's', fareId: 'f', quantity: 1, attempts, ...change }
}

/** One that was answered 201 at `completedMs`, after one millisecond. */
function won(buyer: string, orderId: string, completedMs = 1): Purchase {
  const times = { invokedMs: completedMs - 1, completedMs, completedAtMs: 1000 + completedMs }
  return purchase(buyer, [attempt({ ...times, orderId, orderCreatedAtMs: 1000 + completedMs - 1 })])
}

function refused(buyer: string, code: string, completedMs: number, quantity = 1): Purchase {
  const times = { invokedMs: completedMs - 1, completedMs, completedAtMs: 1000 + completedMs }
  return purchase(buyer, [attempt({ ...times, status: 409, code })], { quantity })
}

const GOOD: History = [won('a', 'o1', 1), won('b', 'o2', 2), refused('c', 'all_held', 9)]

function audit(change: Partial<AuditReport> = {}, held = 2): AuditReport {
  const fare = {
    id: 'f',
    stock: 2,
    remaining: 0,
    held,
    paid: 0,
    countedHeld: held,
    countedPaid: 0,
    ledgerHeld: held,
    ledgerPaid: 0,
    ledgerPending: 0,
    diff: 0,
  }
  return { saleId: 's', fares: [fare], nodes: [], buyersOverLimit: 0, problems: [], ok: true, ...change }
}

describe('checkers', () => {
  it('find nothing in a good history', () => {
    expect([
      ...exactSale(GOOD, { f: 2 }),
      ...withinLimit(GOOD, 1),
      ...oneOrderPerKey(GOOD),
      ...noFalseScarcity(GOOD),
      ...onlyAnswers(GOOD, ['201', '409 all_held']),
      ...allEnded(GOOD),
      ...auditAgrees(GOOD, audit()),
    ]).toEqual([])
    expect(tally(GOOD)).toEqual({ '201': 2, '409 all_held': 1 })
  })

  it('exactSale: one ticket too many, one too few', () => {
    expect(exactSale([...GOOD, won('d', 'o3')], { f: 2 })).toEqual([
      { rule: 'oversold', witness: 'fare f: buyers hold 3 tickets of 2' },
    ])
    expect(exactSale(GOOD, { f: 3 })).toEqual([{ rule: 'undersold', witness: 'fare f: buyers hold 2 tickets of 3' }])
  })

  it('exactSale: a replay is no second ticket', () => {
    const replay = purchase('a', [attempt({ status: 200, orderId: 'o1', replayed: true })])
    expect(exactSale([...GOOD, replay], { f: 2 })).toEqual([])
  })

  it('nothingLost: an order that nobody has', () => {
    expect(nothingLost(GOOD, ['o1', 'o2'])).toEqual([])
    const witness = '1 orders, such as o2 of buyer b, are nowhere'
    expect(nothingLost(GOOD, ['o1', 'o9'])).toEqual([{ rule: 'lost', witness }])
    expect(lostOrders(GOOD, ['o1']).map(({ id }) => id)).toEqual(['o2'])
  })

  it('withinLimit: names the buyer and the orders', () => {
    const history = [...GOOD, { ...won('a', 'o3'), key: 'another', quantity: 2 }]
    expect(withinLimit(history, 2)).toEqual([
      { rule: 'over_limit', witness: 'buyer a holds 3 tickets, the limit is 2: o1, o3' },
    ])
  })

  it('oneOrderPerKey: two ids for a key', () => {
    expect(oneOrderPerKey([...GOOD, won('a', 'o3')])).toEqual([
      { rule: 'two_orders', witness: 'buyer a key key-a: o1 and o3' },
    ])
  })

  it('oneOrderPerKey: one id for two buyers', () => {
    const replay = purchase('d', [attempt({ status: 200, orderId: 'o1' })])
    expect(oneOrderPerKey([...GOOD, replay])).toEqual([
      { rule: 'shared_order', witness: 'o1: buyer a key key-a and buyer d key key-d' },
    ])
  })

  it('oneOrderPerKey: 201 twice', () => {
    expect(oneOrderPerKey([...GOOD, won('a', 'o1', 5)])).toEqual([
      { rule: 'made_twice', witness: 'buyer a key key-a: o1 was 201 twice' },
    ])
  })

  it('noFalseScarcity: an order that was begun after all_held', () => {
    const early = { ...won('d', 'o3', 20) }
    expect(noFalseScarcity([...GOOD, refused('x', 'sold_out', 30), early])).toEqual([
      {
        rule: 'false_scarcity',
        witness: 'buyer c heard all_held for 1 at 9 ms, 1 tickets were taken later, such as o3',
      },
    ])
  })

  it('noFalseScarcity: an order that was made after all_held, though begun before', () => {
    const slow = attempt({ invokedMs: 0, completedMs: 20, completedAtMs: 1020, orderId: 'o3', orderCreatedAtMs: 1015 })
    expect(noFalseScarcity([...GOOD, purchase('d', [slow])])).toMatchObject([{ rule: 'false_scarcity' }])
    const before = { ...slow, orderCreatedAtMs: 1009 }
    expect(noFalseScarcity([...GOOD, purchase('d', [before])])).toEqual([])
  })

  it('noFalseScarcity: not_enough for two while two are taken later', () => {
    const last = [refused('c', 'not_enough', 3, 2), won('d', 'o3', 20)]
    expect(noFalseScarcity(last)).toEqual([])
    expect(noFalseScarcity([...last, won('e', 'o4', 21)])).toMatchObject([
      { witness: expect.stringContaining('buyer c heard not_enough for 2 at 3 ms, 2 tickets') as string },
    ])
  })

  it('onlyAnswers: names one of each odd answer', () => {
    const history = [
      ...GOOD,
      purchase('d', [attempt({ status: 500, code: 'internal' }), attempt({ status: 0, fault: 'reset' })]),
    ]
    expect(onlyAnswers(history, ['201', '409 all_held'])).toEqual([
      { rule: 'odd_answer', witness: 'buyer d key key-d: 500 internal' },
      { rule: 'odd_answer', witness: 'buyer d key key-d: 0 (reset)' },
    ])
  })

  it('allEnded: a buyer who never knew', () => {
    const unknown = purchase('d', [attempt({ status: 503, code: 'outcome_unknown' })])
    expect(allEnded([...GOOD, unknown])).toEqual([{ rule: 'no_end', witness: 'buyer d key key-d gave up after 1' }])
  })

  it('auditAgrees: what audit found, and what only the buyers know', () => {
    const problems = [{ rule: 'conservation', witness: 'fare f: stock is 2' }]
    expect(auditAgrees(GOOD, audit({ ok: false, problems }))).toEqual([
      { rule: 'audit_conservation', witness: 'fare f: stock is 2' },
    ])
    expect(auditAgrees(GOOD, audit({ ok: false }))).toMatchObject([{ rule: 'audit' }])
    expect(auditAgrees(GOOD, audit({}, 1))).toEqual([
      { rule: 'audit_differs', witness: 'fare f: buyers hold 2, the store 1' },
    ])
  })
})
