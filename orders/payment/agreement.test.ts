import { describe, expect, it } from 'vitest'
import { type MoneyCharge, moneyProblems, type OrderMoney, RETAKE_MAX_MS } from './agreement.ts'

const kept: MoneyCharge = {
  id: 'ch',
  state: 'kept',
  isTaken: true,
  amount: 1200,
  currency: 'EUR',
  changedMs: 0,
  keptFor: 'order',
  refund: null,
}
const gone: MoneyCharge = {
  ...kept,
  state: 'refunded',
  keptFor: null,
  refund: { state: 'done', amount: 1200, reason: 'late' },
}
const paid: OrderMoney = {
  orderId: 'order',
  state: 'paid',
  total: { amount: 1200, currency: 'EUR' },
  charges: [kept],
}
const rules = (order: OrderMoney, nowMs = 0): string[] => moneyProblems(order, nowMs).map(({ rule }) => rule)

describe('money and stock', () => {
  it('agree where a paid order has its one charge and all others went back', () => {
    expect(rules({ ...paid, charges: [kept, { ...gone, id: 'second' }] })).toEqual([])
    expect(rules({ ...paid, state: 'released', charges: [gone] })).toEqual([])
    expect(rules({ ...paid, state: 'held', charges: [] })).toEqual([])
    const owed: MoneyCharge = { ...gone, state: 'refunding', refund: { state: 'due', amount: 1200, reason: 'late' } }
    expect(rules({ ...paid, state: 'released', charges: [owed] })).toEqual([])
  })

  it.each<[string, OrderMoney, string]>([
    ['paid by nothing', { ...paid, charges: [] }, 'paid_without_money'],
    ['paid by money that went back', { ...paid, charges: [gone] }, 'paid_without_money'],
    ['paid twice', { ...paid, charges: [kept, { ...kept, id: 'other' }] }, 'paid_twice'],
    ['paid with another amount', { ...paid, charges: [{ ...kept, amount: 1 }] }, 'wrong_amount'],
    ['paid in another currency', { ...paid, charges: [{ ...kept, currency: 'CNY' }] }, 'wrong_amount'],
    ['released, its money kept', { ...paid, state: 'released' }, 'money_kept'],
    ['held, its money kept', { ...paid, state: 'held' }, 'money_kept'],
    ['kept for nobody', { ...paid, state: 'held', charges: [{ ...kept, keptFor: null }] }, 'money_astray'],
    ['kept, and never reported', { ...paid, charges: [{ ...kept, isTaken: false }] }, 'money_astray'],
    ['kept, and going back', { ...paid, charges: [{ ...kept, refund: gone.refund }] }, 'refund_of_kept'],
    [
      'to go back, and nobody does it',
      { ...paid, state: 'released', charges: [{ ...gone, state: 'refunding' }] },
      'money_astray',
    ],
    [
      'gone back in part',
      { ...paid, state: 'released', charges: [{ ...gone, refund: { state: 'done', amount: 1, reason: 'late' } }] },
      'wrong_refund',
    ],
    [
      'back, and still to go back',
      { ...paid, state: 'released', charges: [{ ...gone, refund: { state: 'due', amount: 1200, reason: 'late' } }] },
      'refund_open',
    ],
  ])('do not where an order is %s', (_what, order, rule) => expect(rules(order)).toContain(rule))

  it('do not for ever where new tickets are being bought', () => {
    const charges: MoneyCharge[] = [{ ...kept, state: 'retaking', keptFor: null }]
    expect(rules({ ...paid, state: 'released', charges })).toEqual([])
    expect(rules({ ...paid, state: 'released', charges }, RETAKE_MAX_MS + 1)).toEqual(['money_astray'])
  })
})
