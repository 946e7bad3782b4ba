import { describe, expect, it } from 'vitest'
import type { Order, ReleaseReason } from '../../stock/core/words.ts'
import { judgeFate, reconciled } from './fate.ts'
import type { Fate, LedgerOrder } from './ledger.ts'

const DEADLINE_MS = 10_000
const HELD: LedgerOrder = {
  id: 'o',
  saleId: 'demo',
  fareId: 'second',
  buyer: 'ann',
  quantity: 1,
  state: 'held',
  reason: null,
  createdAtMs: 0,
  holdExpiresAtMs: DEADLINE_MS,
  paidAtMs: null,
  releasedAtMs: null,
  unitPrice: { amount: 1, currency: 'CNY' },
  isSettled: true,
}
const PAID: LedgerOrder = { ...HELD, state: 'paid', paidAtMs: 5 }
const pay: Fate = { state: 'paid' }
const released = (reason: ReleaseReason): LedgerOrder => ({ ...HELD, state: 'released', reason, releasedAtMs: 6 })
const release = (reason: ReleaseReason): Fate => ({ state: 'released', reason })

function judgeAt(ledgerNowMs: number, storeNowMs: number | null, fate: Fate): string {
  return judgeFate(HELD, fate, { ledgerNowMs, storeNowMs })
}

describe('a deadline', () => {
  it('has passed only when both clocks have reached it', () => {
    const times = [DEADLINE_MS - 1, DEADLINE_MS]
    const found = times.flatMap((ledger) =>
      times.map((store) => [judgeAt(ledger, store, pay), judgeAt(ledger, store, release('expired'))]),
    )
    expect(found).toEqual([
      ['decided', 'too_early'],
      ['decided', 'too_early'],
      ['decided', 'too_early'],
      ['too_late', 'decided'],
    ])
  })

  it('has not passed while the store has not been heard', () => {
    expect([judgeAt(99_999, null, pay), judgeAt(99_999, null, release('expired'))]).toEqual(['decided', 'too_early'])
  })

  it('does not keep a held order from being cancelled', () => {
    expect(judgeAt(99_999, 99_999, release('cancelled'))).toBe('decided')
  })
})

describe('fates', () => {
  const clocks = { ledgerNowMs: 1, storeNowMs: 1 }
  it.each([
    [PAID, pay, 'already'],
    [PAID, release('refunded'), 'decided'],
    [PAID, release('cancelled'), 'refused'],
    [PAID, release('expired'), 'refused'],
    [PAID, release('conflict'), 'refused'],
    [HELD, release('refunded'), 'refused'],
    [HELD, release('conflict'), 'decided'],
    [released('expired'), pay, 'refused'],
    [released('expired'), release('expired'), 'already'],
    [released('expired'), release('refunded'), 'refused'],
    [released('refunded'), pay, 'refused'],
  ])('%#: only forward', (order, fate, outcome) => {
    expect(judgeFate(order, fate, clocks)).toBe(outcome)
  })
})

function record(order: LedgerOrder): Order {
  return { ...order, createdSeq: 1, paidSeq: null, releasedSeq: null }
}

describe('a record that is read again', () => {
  it('changes nothing when it says the same, but shows that the store knows', () => {
    expect(reconciled(PAID, record(PAID))).toBeNull()
    expect(reconciled({ ...PAID, isSettled: false }, record(PAID))).toEqual(PAID)
  })

  it('gives its fate to a row that has none', () => {
    expect(reconciled(HELD, record(PAID))).toEqual(PAID)
    expect(reconciled(HELD, record(released('expired')))).toEqual(released('expired'))
    expect(reconciled(PAID, record(released('refunded')))).toEqual({ ...released('refunded') })
  })

  it('yields to the fate of the row, which the store is to be told again', () => {
    for (const known of [PAID, released('expired')]) {
      expect(reconciled(known, record(HELD))).toEqual({ ...known, isSettled: false })
    }
    expect(reconciled(released('expired'), record(PAID))).toEqual({ ...released('expired'), isSettled: false })
    expect(reconciled(PAID, record(released('expired')))).toEqual({ ...PAID, isSettled: false })
  })
})
