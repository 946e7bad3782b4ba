/**
 * The order of judgement. Each case makes one outcome true together with every outcome that comes after it, so
 * swapping any two lines of the judgement turns a case red.
 */
import { describe, expect, it } from 'vitest'
import type { ConfirmItem } from '../port.ts'
import { confirm } from './confirm.ts'
import { join } from './membership.ts'
import { conservationFault, newSaleRecord, type SaleRecord } from './sale-record.ts'
import { ITEM_STATUSES, type ItemStatus } from './status.ts'

const NOW_MS = 10_000
const context = { nowMs: NOW_MS, fingerprint: 'life' }
const rules = { buffer: { tickets: 1 }, deadAfterMs: 1500 }
const LIMIT = 2

function newRecord(): SaleRecord {
  const definition = {
    id: 's',
    name: 's',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: LIMIT,
    holdMs: 1,
    fares: [{ id: 'f', name: 'f', stock: 10, price: { amount: 1, currency: 'CNY' } }],
    orderIdSecret: '00',
  }
  const record = newSaleRecord(definition, 1, context)
  record.state = 'open'
  join(record, { id: 'n1', weight: 1 }, { era: 0, seq: 0 }, 0, rules, context)
  return record
}

function item(change: Partial<ConfirmItem> = {}): ConfirmItem {
  return { orderId: 'o', buyer: 'ann', fareId: 'f', quantity: 1, deadlineMs: NOW_MS, ...change }
}

function judge(record: SaleRecord, ...items: ConfirmItem[]): string[] {
  const caller = { nodeId: 'n1', epoch: 1, seen: { era: 1, seq: 2 }, lastWriteSeq: 2 }
  const reply = confirm(record, caller, items, rules, context)
  return reply.outcome === 'judged' ? reply.verdicts.map(({ status }) => status) : [reply.outcome]
}

/** Makes a condition true, without touching those judged before it. */
type Arrange = (record: SaleRecord, wish: { -readonly [K in keyof ConfirmItem]: ConfirmItem[K] }) => void

function sell(record: SaleRecord, orderId: string, buyer: string, quantity: number): void {
  expect(judge(record, item({ orderId, buyer, quantity }))).toEqual(['held'])
}

const ARRANGE: Readonly<Record<Exclude<ItemStatus, 'held' | 'sold_out'>, Arrange>> = {
  no_such_fare: (_record, wish) => (wish.fareId = 'nowhere'),
  replayed: (record, wish) => {
    const known = record.orders.get('known')
    if (known !== undefined) record.orders.set('known', { ...known, quantity: wish.quantity })
    wish.orderId = 'known'
  },
  key_reused: (_record, wish) => (wish.orderId = 'known'),
  bad_quantity: (_record, wish) => (wish.quantity = LIMIT + 1),
  not_open: (record) => (record.state = 'draft'),
  paused: (record) => (record.state = 'paused'),
  closed: (record) => (record.state = 'closed'),
  too_late: (_record, wish) => (wish.deadlineMs = NOW_MS - 1),
  unlawful: (record) => change(record, { stock: 999 }),
  limit_reached: (record, { buyer }) => record.buyers.set(buyer, { tickets: LIMIT, orderIds: [] }),
  not_enough: (record, wish) => {
    wish.quantity = Math.max(wish.quantity, 2)
    change(record, { stock: 3, remaining: 1, held: 2, paid: 0 })
  },
  all_held: (record) => change(record, { stock: 2, remaining: 0, held: 2, paid: 0 }),
}

function change(record: SaleRecord, counters: Partial<Record<'stock' | 'remaining' | 'held' | 'paid', number>>): void {
  const fare = record.fares.get('f')
  if (fare !== undefined) Object.assign(fare, counters)
}

/** Only one of these can be true at a time. */
const ALTERNATIVES: readonly (readonly string[])[] = [
  ['not_open', 'paused', 'closed'],
  ['not_enough', 'all_held'],
]

function areAlternatives(a: string, b: string): boolean {
  return a !== b && ALTERNATIVES.some((group) => group.includes(a) && group.includes(b))
}

describe('the order of judgement', () => {
  const table = ITEM_STATUSES.filter((status) => status !== 'held' && status !== 'sold_out')

  it.each(table)('%s comes before all that follows it', (status) => {
    const record = newRecord()
    sell(record, 'known', 'eve', 2)
    const wish = { ...item() }
    // From the last to the first: what comes later is arranged, then what comes before must win over it.
    const following = table.slice(table.indexOf(status)).filter((other) => !areAlternatives(status, other))
    for (const other of following.toReversed()) ARRANGE[other](record, wish)
    // A key used for the very same is a replay; `replayed` is arranged last where it is asked for.
    if (status === 'key_reused') wish.quantity = 1
    expect(judge(record, wish)).toEqual([status])
  })

  it('sold_out is for all paid, all_held for the rest, not_enough for fewer than asked', () => {
    const record = newRecord()
    change(record, { stock: 2, remaining: 0, held: 0, paid: 2 })
    expect(judge(record, item())).toEqual(['sold_out'])
    change(record, { held: 1, paid: 1 })
    expect(judge(record, item())).toEqual(['all_held'])
    change(record, { remaining: 1, held: 0, paid: 1 })
    expect(judge(record, item({ quantity: 2 }), item())).toEqual(['not_enough', 'held'])
  })
})

describe('a batch', () => {
  it('judges each item with the effects of those before it', () => {
    const record = newRecord()
    change(record, { stock: 3, remaining: 3 })
    const statuses = judge(
      record,
      item({ orderId: 'a1', quantity: 1 }),
      item({ orderId: 'a1', quantity: 1 }),
      item({ orderId: 'a1', quantity: 2 }),
      item({ orderId: 'a2', quantity: 2 }),
      item({ orderId: 'b1', buyer: 'bob', quantity: 2 }),
      item({ orderId: 'c1', buyer: 'cem', quantity: 1 }),
    )
    expect(statuses).toEqual(['held', 'replayed', 'key_reused', 'limit_reached', 'held', 'all_held'])
  })

  it('sells exactly the stock, not one more, and keeps the law', () => {
    const record = newRecord()
    const wishes = Array.from({ length: 30 }, (_, index) => item({ orderId: `o${index}`, buyer: `b${index}` }))
    expect(judge(record, ...wishes).filter((status) => status === 'held')).toHaveLength(10)
    const fare = record.fares.get('f')
    expect(fare).toMatchObject({ stock: 10, remaining: 0, held: 10, paid: 0 })
    expect(fare && conservationFault('f', fare)).toBeNull()
  })

  it('takes a seq only when something was sold', () => {
    const record = newRecord()
    const { seq } = record
    judge(record, item({ quantity: 9 }))
    expect(record.seq).toBe(seq)
    judge(record, item())
    expect(record).toMatchObject({ seq: seq + 1 })
    expect(record.nodes.get('n1')).toMatchObject({ lastWriteSeq: seq + 1, confirmed: 1 })
  })

  it('counts the deadline itself as in time', () => {
    expect(judge(newRecord(), item({ deadlineMs: NOW_MS }))).toEqual(['held'])
    expect(judge(newRecord(), item({ deadlineMs: NOW_MS - 1 }))).toEqual(['too_late'])
  })
})
