import { Value } from 'typebox/value'
import { describe, expect, it } from 'vitest'
import type { Order, SaleDefinition } from '../stock/core/words.ts'
import { InvariantError } from '../runtime/assert.ts'
import { seededRandom } from '../runtime/random.ts'
import { isoTime } from './iso-time.ts'
import {
  OrderListSchema,
  OrderSchema,
  renderList,
  renderOrder,
  renderSale,
  SaleListSchema,
  SaleSchema,
} from './schemas.ts'

const NOW_MS = Date.UTC(2027, 0, 20, 2, 0, 1, 7)
const DEFINITION: SaleDefinition = {
  id: 'demo',
  name: 'G1 "Beijing" to Shanghai',
  opensAtMs: NOW_MS - 1007,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 300_000,
  fares: [
    { id: 'second', name: 'Second class', stock: 10_000, price: { amount: 55_300, currency: 'CNY' } },
    { id: 'first', name: 'First class', stock: 0, price: { amount: 0, currency: 'CNY' } },
  ],
  orderIdSecret: 'ab'.repeat(32),
}
const ORDER: Order = {
  id: '0123456789abcdefghjkmnpqrs',
  fareId: 'second',
  quantity: 2,
  buyer: 'alice',
  state: 'held',
  reason: null,
  createdAtMs: NOW_MS - 5000,
  createdSeq: 4,
  paidAtMs: null,
  paidSeq: null,
  releasedAtMs: null,
  releasedSeq: null,
}

describe('isoTime', () => {
  it('writes what Date writes, for any time', () => {
    const random = seededRandom(3)
    for (let index = 0; index < 5000; index += 1) {
      const ms = random.below(4_000_000_000_000)
      expect(isoTime(ms)).toBe(new Date(ms).toISOString())
    }
    for (const ms of [0, 999, 1000, NOW_MS, NOW_MS + 256_000, NOW_MS])
      expect(isoTime(ms)).toBe(new Date(ms).toISOString())
    expect(isoTime(1.9)).toBe('1970-01-01T00:00:00.001Z')
  })
})

describe('renderOrder', () => {
  it('writes a held order', () => {
    expect(JSON.parse(renderOrder(DEFINITION, ORDER, NOW_MS))).toEqual({
      id: ORDER.id,
      saleId: 'demo',
      fareId: 'second',
      quantity: 2,
      state: 'held',
      reason: null,
      createdAt: '2027-01-20T01:59:56.007Z',
      holdExpiresAt: '2027-01-20T02:04:56.007Z',
      paidAt: null,
      unitPrice: { amount: 55_300, currency: 'CNY' },
      total: { amount: 110_600, currency: 'CNY' },
      serverTime: '2027-01-20T02:00:01.007Z',
    })
  })

  it.each<Partial<Order>>([
    {},
    { state: 'paid', paidAtMs: NOW_MS },
    { state: 'released', reason: 'expired' },
    { state: 'released', reason: 'refunded', paidAtMs: NOW_MS - 1 },
    { fareId: 'first', quantity: 1 },
  ])('follows the schema: %o', (change) => {
    const text = renderOrder(DEFINITION, { ...ORDER, ...change }, NOW_MS)
    expect(Value.Errors(OrderSchema, JSON.parse(text))).toEqual([])
    expect(Value.Check(OrderListSchema, JSON.parse(renderList([text, text], 'next')))).toBe(true)
    expect(text).not.toContain('alice')
  })

  it('takes an order of a fare that is not in the sale for broken', () => {
    expect(() => renderOrder(DEFINITION, { ...ORDER, fareId: 'third' }, NOW_MS)).toThrow(InvariantError)
  })
})

describe('renderSale', () => {
  const fare = { fareId: 'second', stock: 10, remaining: 0, held: 0, paid: 10 }
  const render = (counters: Partial<typeof fare>) =>
    JSON.parse(
      renderSale(DEFINITION, { state: 'open', recovering: false, fares: [{ ...fare, ...counters }] }, NOW_MS),
    ) as { fares: { availability: string; stock: number; remaining: number }[] }

  it('follows the schema and keeps the secret', () => {
    const sale = render({})
    expect(Value.Errors(SaleSchema, sale)).toEqual([])
    expect(Value.Check(SaleListSchema, { items: [sale], nextCursor: null })).toBe(true)
    expect(JSON.stringify(sale)).not.toContain('abab')
    expect(sale).toMatchObject({
      opensAt: '2027-01-20T02:00:00.000Z',
      closesAt: null,
      holdSeconds: 300,
      limitPerBuyer: 2,
    })
  })

  it('tells what can be had', () => {
    expect(render({ remaining: 1, paid: 9 }).fares[0]).toMatchObject({
      availability: 'available',
      stock: 10,
      remaining: 1,
    })
    expect(render({ held: 1, paid: 9 }).fares[0]?.availability).toBe('all_held')
    expect(render({}).fares[0]?.availability).toBe('sold_out')
    expect(render({}).fares[1]).toMatchObject({ stock: 0, availability: 'sold_out' })
  })
})
