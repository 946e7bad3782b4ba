/** Every rule can fail: the smallest evidence against each, and none against an ordinary sale. */
import { describe, expect, it } from 'vitest'
import type { Order } from '../../stock/core/words.ts'
import type { Attempt, Purchase } from '../history.ts'
import { RULES, violationsOf } from './all.ts'
import type { Evidence, UnlikeOrder, Fate } from './evidence.ts'
import { lostOrders, SURVIVES } from './promises.ts'

const NEVER = Number.POSITIVE_INFINITY

function attempt(invokedMs: number, status: number, said: string | null): Attempt {
  const isOrder = status === 200 || status === 201
  const [code, orderId] = isOrder ? [null, said] : [said, null]
  return { invokedMs, completedMs: invokedMs + 10, status, code, orderId, at: null }
}

function purchase(buyer: string, attempts: Attempt[], more: Partial<Purchase> = {}): Purchase {
  return { buyer, key: 'key-no-1', fareId: 'a', quantity: 1, mayRepeat: true, attempts, acts: [], ...more }
}

function order(id: string, buyer: string, more: Partial<Order> = {}): Order {
  const never = { paidAtMs: null, paidSeq: null, releasedAtMs: null, releasedSeq: null, reason: null }
  return { id, buyer, fareId: 'a', quantity: 1, state: 'held', createdAtMs: 0, createdSeq: 1, ...never, ...more }
}

function creation(orderId: string, buyer: string, atMs: number) {
  const known = { fareId: 'a', quantity: 1, deadlineMs: NEVER, storeMs: atMs, nodeId: 'n1' }
  return { orderId, buyer, atMs, state: 'open' as const, isCertified: true, ...known }
}

function fate(reason: 'conflict' | 'cancelled'): Fate {
  return { orderId: 'o1', state: 'released', reason, atMs: 150, overdue: null }
}

function span(fromMs: number, toMs: number, remaining: number, held: number) {
  return { server: 's', fareId: 'a', fromMs, toMs, remaining, held }
}

/** Two tickets, two buyers, each with one; then nothing is left. */
function ordinary(more: Partial<Evidence> = {}): Evidence {
  return {
    ack: 'redis',
    history: [
      purchase('b1', [attempt(100, 201, 'o1'), attempt(3000, 200, 'o1')]),
      purchase('b2', [attempt(200, 201, 'o2')]),
      purchase('b3', [attempt(300, 409, 'all_held')]),
    ],
    limitPerBuyer: 1,
    holdMs: 300_000,
    buyDeadlineMs: 1000,
    opensAtMs: null,
    stock: { a: 2 },
    stockChanges: [],
    transfers: [],
    orders: new Map([
      ['o1', order('o1', 'b1')],
      ['o2', order('o2', 'b2')],
    ]),
    fares: [{ fareId: 'a', stock: 2, remaining: 0, held: 2, paid: 0 }],
    buyers: new Map([
      ['b1', 1],
      ['b2', 1],
    ]),
    fates: new Map(),
    conflicts: new Set(),
    unlike: [],
    unlikeStocks: [],
    notFound: [],
    lost: new Map(),
    losses: [],
    splits: [],
    creations: [creation('o1', 'b1', 105), creation('o2', 'b2', 205)],
    settled: [],
    reasserted: [],
    openedMs: [],
    spans: [span(0, 105, 2, 0), span(105, 205, 1, 1), span(205, NEVER, 0, 2)],
    doors: [{ server: 's', fromMs: 0, toMs: NEVER, state: 'open' }],
    lawFault: null,
    leaseFault: null,
    fenceFault: null,
    disturbedMs: new Map(),
    leftOut: [],
    forcedWithMark: 0,
    untoldDecisions: [],
    lateRows: [],
    pausedMsMax: 0,
    crashes: [],
    unanswered: [],
    hasSteppedClocks: false,
    toldMs: Number.NEGATIVE_INFINITY,
    hasConverged: true,
    endMs: 5000,
    ...more,
  }
}

const { history: HISTORY, orders: ORDERS, creations: CREATIONS } = ordinary()
const LOSS = {
  kind: 'failover' as const,
  atMs: 400,
  entries: 1,
  knowers: ['n1'],
  givenAgain: null,
  isUndone: false,
}

function withPurchase(...more: Purchase[]): Partial<Evidence> {
  return { history: [...HISTORY, ...more] }
}

/** By rule: what makes it break. */
const CASES: readonly (readonly [string, Partial<Evidence>])[] = [
  ['oversold', withPurchase(purchase('b4', [attempt(300, 201, 'o4')]))],
  ['over_limit', withPurchase(purchase('b1', [attempt(300, 201, 'o5')], { key: 'key-no-2' }))],
  ['over_limit', { buyers: new Map([['b1', 2]]) }],
  ['lost_acknowledged', { orders: new Map([['o1', order('o1', 'b1')]]) }],
  ['silent_loss', { losses: [LOSS] }],
  ['two_orders', withPurchase(purchase('b1', [attempt(300, 200, 'o2')]))],
  ['made_twice', withPurchase(purchase('b1', [attempt(300, 201, 'o1')]))],
  ['made_twice', { creations: [...CREATIONS, creation('o1', 'b1', 108)] }],
  ['two_wishes', withPurchase(purchase('b1', [attempt(300, 200, 'o1')], { quantity: 2 }))],
  ['shared_order', withPurchase(purchase('b4', [attempt(300, 200, 'o1')]))],
  ['repeat_refused', { history: [purchase('b1', [attempt(100, 201, 'o1'), attempt(3000, 409, 'all_held')])] }],
  ['ghost_hold', { creations: [...CREATIONS, creation('o9', 'b3', 2000)] }],
  ['ghost_hold', { orders: new Map([...ORDERS, ['o9', order('o9', 'b3')]]) }],
  ['false_scarcity', { spans: [span(0, NEVER, 1, 1)] }],
  ['false_scarcity', withPurchase(purchase('b4', [attempt(4000, 409, 'sold_out')]))],
  ['false_door', withPurchase(purchase('b4', [attempt(300, 409, 'paused')]))],
  ['false_blame', withPurchase(purchase('b4', [attempt(300, 409, 'limit_reached')]))],
  ['false_blame', withPurchase(purchase('b4', [attempt(300, 422, 'key_reused')]))],
  ['false_blame', withPurchase(purchase('b4', [attempt(300, 422, 'bad_quantity')]))],
  ['unanswered', { unanswered: ['b1 at n1'] }],
  ['no_end', withPurchase(purchase('b4', [attempt(300, 503, 'busy')]))],
  ['stock_law', { lawFault: 'fare a' }],
  ['stock_law', { fares: [{ fareId: 'a', stock: 2, remaining: 1, held: 1, paid: 0 }] }],
  ['stock_law', { fares: [{ fareId: 'a', stock: 3, remaining: 0, held: 2, paid: 0 }] }],
  ['buyer_count', { buyers: new Map([['b1', 0]]) }],
  ['stranded', { hasConverged: false }],
  ['stranded', { fares: [{ fareId: 'a', stock: 3, remaining: 1, held: 2, paid: 0 }] }],
  ['two_fates', { conflicts: new Set(['o1']) }],
  [
    'two_fates',
    {
      fates: new Map([['o1', { orderId: 'o1', state: 'paid', reason: null, atMs: 1, overdue: null }]]),
    },
  ],
  [
    'early_expiry',
    {
      fates: new Map([
        [
          'o1',
          {
            orderId: 'o1',
            state: 'released',
            reason: 'expired',
            atMs: 1,
            overdue: { storeMs: 99, ledgerMs: 200, deadlineMs: 100 },
          },
        ],
      ]),
    },
  ],
  ['undecided', { settled: [{ orderId: 'o1', atMs: 400, state: 'released', wasDecided: false }] }],
  ['taken_back', { fates: new Map([['o1', fate('conflict')]]) }],
  ['books_differ', { unlike: [{ orderId: 'o1', inLedger: 'cancelled', inStore: 'held' }] }],
  ['books_differ', { unlikeStocks: [{ fareId: 'a', inLedger: 2, inStore: 1 }] }],
  ['not_found', { notFound: [{ orderId: 'o1', invokedMs: 200, completedMs: 210 }] }],
  ['sold_while_shut', { creations: [{ ...creation('o1', 'b1', 105), state: 'paused' }] }],
  ['sold_uncertified', { creations: [{ ...creation('o1', 'b1', 105), isCertified: false }] }],
  ['fence', { fenceFault: 'n1' }],
  ['two_leaders', { leaseFault: 'c1 and c2' }],
  ['needless_alarm', { forcedWithMark: 1 }],
  ['silent_stop', { untoldDecisions: ['failover took 1 writes at 400.0 ms'] }],
  ['books_late', { lateRows: ['o1'] }],
  ['left_out', { leftOut: ['n1'] }],
  ['broken_assertion', { crashes: ['n1'] }],
]

describe('the rules', () => {
  it('find nothing wrong with an ordinary sale', () => {
    expect(violationsOf(ordinary())).toEqual([])
  })

  it.each(CASES)('%s can fail', (rule, change) => {
    expect(violationsOf(ordinary(change)).map((violation) => violation.rule)).toContain(rule)
  })

  it('are all shown to fail', () => {
    const failing = RULES.filter((rule) => CASES.some(([, change]) => rule(ordinary(change)).length > 0))
    expect(RULES.filter((rule) => !failing.includes(rule)).map((rule) => rule.name)).toEqual([])
  })
})

const ofB = (orderId: string) => purchase(`buyer-${orderId}`, [attempt(300, 201, orderId)], { fareId: 'b' })

describe('what one fare had left and another got', () => {
  const transfers = [{ fromFare: 'b', toFare: 'a', invokedMs: 50 }]
  const rules = (more: Partial<Evidence>): string[] =>
    violationsOf(ordinary({ stock: { a: 1, b: 1 }, transfers, ...more })).map(({ rule }) => rule)

  it('may be sold there, once it was asked for', () => {
    expect(rules({})).not.toContain('oversold')
    expect(rules({ transfers: [] })).toContain('oversold')
    expect(rules({ transfers: [{ fromFare: 'b', toFare: 'a', invokedMs: 250 }] })).toContain('oversold')
    expect(rules({ transfers: [{ fromFare: 'a', toFare: 'b', invokedMs: 50 }] })).toContain('oversold')
  })

  it('is not sold twice, nor does the one that it is from get more', () => {
    expect(rules(withPurchase(ofB('o4')))).toContain('oversold')
    expect(rules({ history: [ofB('o4'), ofB('o5')] })).toContain('oversold')
    expect(rules({ history: [ofB('o4')] })).not.toContain('oversold')
  })
})

describe('a lowered stock', () => {
  const change = { fareId: 'a', stock: 1, invokedMs: 50, completedMs: 60, doneAt: { era: 1, seq: 7 } }
  const rules = (more: Partial<Evidence>): string[] =>
    violationsOf(ordinary({ toldMs: 9999, stockChanges: [change], ...more })).map(({ rule }) => rule)

  it('binds once it was done, also after losses before it', () => {
    expect(rules({})).toContain('oversold')
    expect(rules({ losses: [{ ...LOSS, atMs: 40 }] })).toContain('oversold')
  })

  it('binds although another was made, unless that was the later, or was not done and perhaps not over', () => {
    const other = { ...change, stock: 3, invokedMs: 40, completedMs: 45, doneAt: { era: 1, seq: 6 } }
    const meanwhile = { ...other, completedMs: 55 }
    expect(rules({ stockChanges: [other, change] })).toContain('oversold')
    expect(rules({ stockChanges: [meanwhile, change] })).toContain('oversold')
    expect(rules({ stockChanges: [{ ...meanwhile, doneAt: { era: 1, seq: 8 } }, change] })).not.toContain('oversold')
    expect(rules({ stockChanges: [{ ...other, doneAt: null }, change] })).toContain('oversold')
    expect(rules({ stockChanges: [{ ...meanwhile, doneAt: null }, change] })).not.toContain('oversold')
    expect(rules({ stockChanges: [{ ...meanwhile, doneAt: null, fareId: 'b' }, change] })).toContain('oversold')
    const unanswered = { ...other, doneAt: null, completedMs: NEVER }
    expect(rules({ stockChanges: [unanswered, change] })).not.toContain('oversold')
  })

  it('does not where it was not done, or writes were lost since', () => {
    expect(rules({ stockChanges: [{ ...change, doneAt: null }] })).not.toContain('oversold')
    for (const atMs of [55, 70]) expect(rules({ losses: [{ ...LOSS, atMs }] })).not.toContain('oversold')
  })
})

/** One wish of b3, answered at these times; it was under way from 120 on. */
function refused(...ms: number[]): Purchase {
  const attempts = ms.map((completedMs, place) => ({
    ...attempt(place === 0 ? 120 : completedMs - 10, 409, 'all_held'),
    completedMs,
  }))
  return purchase('b3', attempts)
}

describe('a hold that came back after its buyer was refused', () => {
  const orders = new Map([...ORDERS, ['o9', order('o9', 'b3')]])
  const taken = { ...LOSS, atMs: 150 }
  const returned = { ...LOSS, kind: 'return_to_old' as const, atMs: 1000 }
  const byUnion: Partial<Evidence> = { reasserted: [{ orderId: 'o9', atMs: 1000 }] }
  const byReturn: Partial<Evidence> = { losses: [taken, returned] }
  function rules(change: Partial<Evidence>, ...ofB3: Purchase[]): string[] {
    const evidence = ordinary({
      history: [...HISTORY.filter(({ buyer }) => buyer !== 'b3'), ...(ofB3.length > 0 ? ofB3 : [refused(310)])],
      orders,
      creations: [...CREATIONS, creation('o9', 'b3', 140)],
      lost: new Map([['o9', taken]]),
      losses: [taken],
      toldMs: 9999,
      ...change,
    })
    return violationsOf(evidence).map(({ rule }) => rule)
  }

  it.each([
    ['an old history', byReturn],
    ['a union', byUnion],
  ])('with %s, is no ghost when that was while it was away', (_, back) => {
    expect(rules(back)).not.toContain('ghost_hold')
    expect(rules(back, refused(310, 900))).not.toContain('ghost_hold')
    const before = { reasserted: [{ orderId: 'o9', atMs: 149 }, ...(back.reasserted ?? [])] }
    expect(rules({ ...back, ...before })).not.toContain('ghost_hold')
    // Other wishes of the same buyer did not make it, whenever they were refused.
    const others = [
      purchase('b3', [attempt(100, 409, 'all_held'), attempt(2000, 409, 'all_held')], { key: 'key-no-2' }),
    ]
    expect(rules(back, refused(310), ...others)).not.toContain('ghost_hold')
  })

  it.each([
    ['an old history', byReturn],
    ['a union', byUnion],
  ])('with %s, is one when that was before it went, after it came, or nobody waited for it', (_, back) => {
    expect(rules(back, refused(145))).toContain('ghost_hold')
    expect(rules(back, refused(310, 1001))).toContain('ghost_hold')
    expect(rules(back, refused(139))).toContain('ghost_hold')
    expect(rules(back, { ...refused(310), quantity: 2 })).toContain('ghost_hold')
    expect(rules({ ...back, creations: [...CREATIONS, creation('o9', 'b3', 119)] })).toContain('ghost_hold')
    expect(rules({ ...back, lost: new Map() })).toContain('ghost_hold')
  })

  it('is one when nothing brought it back since it went', () => {
    expect(rules({})).toContain('ghost_hold')
    expect(rules({ losses: [{ ...returned, atMs: 149 }, taken] })).toContain('ghost_hold')
    expect(rules({ reasserted: [{ orderId: 'o1', atMs: 1000 }] })).toContain('ghost_hold')
    expect(rules({ reasserted: [{ orderId: 'o9', atMs: 149 }] })).toContain('ghost_hold')
    const again = [...(byUnion.reasserted ?? []), { orderId: 'o9', atMs: 2000 }]
    expect(rules({ reasserted: again }, refused(310, 1001))).toContain('ghost_hold')
  })
})

describe('an order made by a server that was primary again', () => {
  const made = { ...creation('o9', 'b3', 900) }
  const refused = purchase('b3', [attempt(200, 409, 'not_enough')])
  const back = { ...LOSS, kind: 'return_to_old' as const, atMs: 800 }
  const rules = (change: Partial<Evidence>): string[] =>
    violationsOf(
      ordinary({
        history: [...HISTORY.filter(({ buyer }) => buyer !== 'b3'), refused],
        orders: new Map([...ORDERS, ['o9', order('o9', 'b3')]]),
        creations: [...CREATIONS, made],
        losses: [back],
        toldMs: 9999,
        ...change,
      }),
    ).map(({ rule }) => rule)

  it('is no ghost when its buyer heard "no" of the history that was thrown away', () => {
    expect(rules({})).not.toContain('ghost_hold')
  })

  it('is none either after an older copy, which lacks the epoch that fenced the command; after other losses it is', () => {
    expect(rules({ losses: [{ ...back, kind: 'older_copy' }] })).not.toContain('ghost_hold')
    for (const kind of ['failover', 'unsynced'] as const) {
      expect(rules({ losses: [{ ...back, kind }] })).toContain('ghost_hold')
    }
  })

  it('is one without the return, before it, when the "no" came after it, and after the deadline', () => {
    expect(rules({ losses: [] })).toContain('ghost_hold')
    expect(rules({ losses: [{ ...back, atMs: 950 }] })).toContain('ghost_hold')
    expect(rules({ losses: [{ ...back, atMs: 150 }] })).toContain('ghost_hold')
    expect(rules({ creations: [...CREATIONS, creation('o9', 'b3', 1400)] })).toContain('ghost_hold')
  })
})

describe('a node that is left out', () => {
  it('is judged whatever was lost, split or asleep', () => {
    const losses = [
      { ...LOSS, kind: 'older_copy' as const },
      { ...LOSS, kind: 'split_brain' as const },
    ]
    const splits = [{ fromMs: 100, toMs: 300 }]
    const evidence = ordinary({ leftOut: ['n1'], toldMs: 9999, losses, splits, pausedMsMax: 500 })
    expect(violationsOf(evidence).map(({ rule }) => rule)).toContain('left_out')
  })
})

/** Of an order that is made then, for a buyer who asked at 100 and got no answer. */
function rulesOfLate(madeMs: number, pausedMsMax: number): string[] {
  const late = purchase('b1', [attempt(100, 503, 'outcome_unknown'), attempt(3000, 200, 'o1')])
  const history = [late, purchase('b2', [attempt(200, 201, 'o2')])]
  const evidence = ordinary({ history, creations: [creation('o1', 'b1', madeMs)], pausedMsMax })
  return violationsOf(evidence).map(({ rule }) => rule)
}

describe('an order that is made late for somebody who got no answer', () => {
  const DEADLINE_MS = 100 + 1000 * 1.05 + 50
  it('is due as long as its node stood still beside its deadline, and not longer', () => {
    expect(rulesOfLate(DEADLINE_MS - 1, 0)).not.toContain('ghost_hold')
    expect(rulesOfLate(DEADLINE_MS + 1, 0)).toContain('ghost_hold')
    expect(rulesOfLate(DEADLINE_MS + 699, 700)).not.toContain('ghost_hold')
    expect(rulesOfLate(DEADLINE_MS + 701, 700)).toContain('ghost_hold')
  })
})

describe('a loss that was undone before anybody sold', () => {
  it('need not be told', () => {
    expect(violationsOf(ordinary({ losses: [{ ...LOSS, isUndone: true }] }))).toEqual([])
  })

  it('hides no other', () => {
    const losses = [{ ...LOSS, isUndone: true }, LOSS]
    expect(violationsOf(ordinary({ losses })).map(({ rule }) => rule)).toEqual(['silent_loss'])
  })
})

describe('an order whose version was given twice', () => {
  const history = [purchase('b1', [attempt(100, 201, 'o1'), attempt(3000, 409, 'all_held')])]
  const copy = { ...LOSS, kind: 'older_copy' as const, atMs: 50, knowers: [], givenAgain: [0, 5] as const }
  const rules = (loss: Evidence['losses'][number], openedMs: readonly number[] = []): string[] =>
    violationsOf(ordinary({ history, losses: [loss], openedMs })).map(({ rule }) => rule)

  it('may be refused again where nobody could see that the copy was older', () => {
    expect(rules(copy)).not.toContain('repeat_refused')
  })

  it('may be where somebody could have, and only called when the store had come as far', () => {
    expect(rules({ ...copy, knowers: ['n1'] })).not.toContain('repeat_refused')
    expect(rules({ ...copy, knowers: ['n1'] }, [20])).not.toContain('repeat_refused')
  })

  it('may be as long as whoever knows more is not heard', () => {
    expect(rules({ ...copy, knowers: ['n1'] }, [4000])).not.toContain('repeat_refused')
  })

  it('may not where somebody did, or the version was given once, or the copy came later', () => {
    expect(rules({ ...copy, knowers: ['n1'] }, [2000])).toContain('repeat_refused')
    expect(rules({ ...copy, givenAgain: [2, 5] })).toContain('repeat_refused')
    expect(rules({ ...copy, atMs: 150 })).toContain('repeat_refused')
  })
})

describe('an order on which store and ledger differ', () => {
  const copy = { ...LOSS, kind: 'older_copy' as const, knowers: [], givenAgain: [0, 5] as const }
  const gone = { orderId: 'o1', inLedger: 'cancelled', inStore: null }
  const rules = (loss: Evidence['losses'][number], unlike: UnlikeOrder = gone): string[] =>
    violationsOf(ordinary({ unlike: [unlike], lost: new Map([['o1', loss]]), toldMs: 9999 })).map(({ rule }) => rule)

  it('may stay so where the store lacks it and nothing shows that a copy was older', () => {
    expect(rules(copy)).not.toContain('books_differ')
  })

  it('may not where the store has it, somebody knew more, or the copy had a new era', () => {
    expect(rules(copy, { ...gone, inStore: 'held' })).toContain('books_differ')
    expect(rules(copy, { ...gone, inLedger: null, inStore: 'held' })).toContain('books_differ')
    expect(rules({ ...copy, knowers: ['n1'] })).toContain('books_differ')
    expect(rules({ ...copy, givenAgain: null })).toContain('books_differ')
  })

  it('keeps the cluster from coming to rest, and is named', () => {
    const [first] = violationsOf(ordinary({ unlike: [{ ...gone, inStore: 'held' }], hasConverged: false }))
    expect(first?.witness).toContain('o1 (the books differ)')
  })
})

describe('an order that is released for want of room', () => {
  const fates = new Map([['o1', fate('conflict')]])
  const rules = (change: Partial<Evidence>): string[] =>
    violationsOf(ordinary({ fates, toldMs: 9999, ...change })).map(({ rule }) => rule)

  it('may have been told where the store lost orders, but not with `ack: ledger`, unless as it is', () => {
    expect(rules({})).toContain('taken_back')
    expect(rules({ losses: [LOSS] })).not.toContain('taken_back')
    expect(rules({ losses: [LOSS], ack: 'ledger' })).toContain('taken_back')
    const history = [purchase('b1', [attempt(100, 200, 'o1')])]
    expect(rules({ losses: [LOSS], ack: 'ledger', history })).not.toContain('taken_back')
    expect(rules({ fates: new Map([['o1', fate('cancelled')]]) })).not.toContain('taken_back')
  })

  it('was not told after the store had been opened anew, until it loses more', () => {
    const before = { losses: [{ ...LOSS, atMs: 20 }], openedMs: [10, 50] }
    expect(rules(before)).toContain('taken_back')
    expect(rules({ ...before, openedMs: [10, 110] })).not.toContain('taken_back')
    expect(rules({ ...before, openedMs: [10, 50, 110] })).toContain('taken_back')
    expect(rules({ ...before, openedMs: [10] })).not.toContain('taken_back')
    expect(rules({ ...before, losses: [...before.losses, LOSS] })).not.toContain('taken_back')
  })

  it('may not have been told where two operators set the stock at once', () => {
    const one = { fareId: 'a', stock: 3, invokedMs: 50, completedMs: 60, doneAt: { era: 1, seq: 7 } }
    const two = { ...one, invokedMs: 55, completedMs: 70, doneAt: null }
    expect(rules({ stockChanges: [one, two] })).toContain('taken_back')
  })

  it('is nobody’s from then on', () => {
    const third = purchase('b4', [attempt(300, 201, 'o4')])
    const sold = { history: [...HISTORY, third], losses: [LOSS] }
    expect(rules({ ...sold })).not.toContain('oversold')
    expect(rules({ ...sold, fates: new Map() })).toContain('oversold')
  })
})

describe('orders that a fault took from the store', () => {
  const lost = new Map([['o1', LOSS]])
  const history = [...HISTORY, purchase('b4', [attempt(300, 201, 'o4')])]
  const rules = (ack: Evidence['ack']): string[] =>
    violationsOf(ordinary({ ack, lost, history, losses: [LOSS], toldMs: 9999 })).map(({ rule }) => rule)

  it('may exceed the limit when they come back', () => {
    const orders = new Map([...ORDERS, ['o5', order('o5', 'b1')]])
    const over = (ack: Evidence['ack'], id: string, orderIds: typeof orders = orders): boolean =>
      violationsOf(ordinary({ ack, orders: orderIds, buyers: new Map([['b1', 2]]), lost: new Map([[id, LOSS]]) })).some(
        ({ rule, witness }) => rule === 'over_limit' && witness.includes('in the store'),
      )
    expect(over('redis', 'o5')).toBe(false)
    expect(over('redis', 'o2')).toBe(true)
    expect(over('ledger', 'o5')).toBe(false)
    expect(over('redis', 'o5', new Map([...ORDERS, ['o5', order('o5', 'b1', { state: 'released' })]]))).toBe(true)
  })

  it('count as held where `ack` survives the fault', () => {
    expect(rules('redis')).not.toContain('oversold')
    expect(rules('ledger')).toContain('oversold')
  })
})

describe('an order that was asked for and not found', () => {
  const notFound = [{ orderId: 'o1', invokedMs: 200, completedMs: 210 }]
  const rules = (change: Partial<Evidence>): string[] =>
    violationsOf(ordinary({ notFound, ...change })).map(({ rule }) => rule)

  it('is judged only after its buyer was told, unless a fault took it or two stores were there', () => {
    expect(rules({})).toContain('not_found')
    expect(rules({ notFound: [{ orderId: 'o1', invokedMs: 100, completedMs: 110 }] })).not.toContain('not_found')
    expect(rules({ lost: new Map([['o1', LOSS]]) })).not.toContain('not_found')
    expect(rules({ splits: [{ fromMs: 150, toMs: 205 }] })).not.toContain('not_found')
    expect(rules({ splits: [{ fromMs: 150, toMs: 190 }] })).toContain('not_found')
  })
})

describe('what an acknowledgement promises', () => {
  const lost = { orders: new Map([['o1', order('o1', 'b1')]]), lost: new Map([['o2', LOSS]]) }

  it('is counted, not broken, where `ack` does not survive the fault', () => {
    const evidence = ordinary({ ...lost, losses: [LOSS], toldMs: 9999 })
    expect(lostOrders(evidence)).toMatchObject([{ orderId: 'o2', kind: 'failover' }])
    expect(violationsOf(evidence).map(({ rule }) => rule)).not.toContain('lost_acknowledged')
  })

  it('is broken where it does', () => {
    for (const ack of ['replicated', 'ledger'] as const) {
      expect(violationsOf(ordinary({ ...lost, ack })).map(({ rule }) => rule)).toContain('lost_acknowledged')
    }
    expect(SURVIVES.redis.size).toBe(0)
  })

  it('is broken whatever `ack`, when no fault took the order', () => {
    const evidence = ordinary({ orders: lost.orders })
    expect(violationsOf(evidence).map(({ rule }) => rule)).toContain('lost_acknowledged')
  })
})
