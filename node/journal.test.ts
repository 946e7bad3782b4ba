import { describe, expect, it } from 'vitest'
import { testOrder } from '../stock/testing/order.ts'
import { Journal } from './journal.ts'

describe('Journal', () => {
  it('tells what was told before an era and not again since', () => {
    const journal = new Journal()
    journal.begin({ era: 2, seq: 0 })
    journal.note(testOrder('a'), { era: 2, seq: 6 })
    journal.note(testOrder('b'), { era: 2, seq: 7 })
    journal.note(testOrder('c'), { era: 3, seq: 8 })
    journal.note(testOrder('b'), { era: 3, seq: 9 })
    const idsBefore = (era: number): string[] =>
      journal
        .toldBefore(era)
        .map(({ id }) => id)
        .toSorted()
    expect([idsBefore(2), idsBefore(3), idsBefore(4)]).toEqual([[], ['a'], ['a', 'b', 'c']])
  })

  it('answers for what it tells from the first join on, as last told', () => {
    const journal = new Journal()
    expect([journal.since, journal.orders]).toEqual([null, []])
    journal.begin({ era: 2, seq: 5 })
    journal.note(testOrder('a'), { era: 2, seq: 6 })
    journal.note(testOrder('a', { state: 'paid', paidAtMs: 7 }), { era: 2, seq: 9 })
    journal.begin({ era: 3, seq: 1 })
    expect(journal.since).toEqual({ era: 2, seq: 5 })
    expect(journal.orders.map(({ id, state }) => `${id} ${state}`)).toEqual(['a paid'])
  })

  it('says from where on it is whole when it forgets the oldest', () => {
    const journal = new Journal(2)
    journal.begin({ era: 1, seq: 1 })
    for (const seq of [2, 3, 4]) journal.note(testOrder(`o${seq}`), { era: 1, seq })
    expect(journal.since).toEqual({ era: 1, seq: 2 })
    expect(journal.orders.map(({ id }) => id)).toEqual(['o3', 'o4'])
    // Told again it keeps its place.
    journal.note(testOrder('o3', { state: 'paid' }), { era: 1, seq: 5 })
    expect(journal.orders.map(({ id, state }) => `${id} ${state}`)).toEqual(['o3 paid', 'o4 held'])
    journal.note(testOrder('o6'), { era: 1, seq: 6 })
    expect(journal.orders.map(({ id }) => id)).toEqual(['o4', 'o6'])
    expect(journal.since).toEqual({ era: 1, seq: 3 })
  })

  it('takes an order of another era for a new one: it may have been lost, and made again', () => {
    const journal = new Journal(3)
    journal.begin({ era: 1, seq: 1 })
    for (const seq of [2, 3]) journal.note(testOrder(`o${seq}`), { era: 1, seq })
    journal.note(testOrder('o2'), { era: 2, seq: 3 })
    expect(journal.orders.map(({ id }) => id)).toEqual(['o3', 'o2'])
    for (const seq of [4, 5]) journal.note(testOrder(`o${seq}`), { era: 2, seq })
    expect(journal.orders.map(({ id }) => id)).toEqual(['o2', 'o4', 'o5'])
    expect(journal.since).toEqual({ era: 1, seq: 3 })
    journal.note(testOrder('o6'), { era: 2, seq: 6 })
    expect(journal.since).toEqual({ era: 2, seq: 3 })
  })
})
