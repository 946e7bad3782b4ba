import { describe, expect, it } from 'vitest'
import { readBuyBody } from './buy-body.ts'
import { isIdempotencyKey } from './idempotency-key.ts'

const read = (text: string) => readBuyBody(Buffer.from(text))

describe('readBuyBody', () => {
  it.each([
    ['', 1],
    ['{}', 1],
    ['{"quantity":1}', 1],
    ['{"quantity":2}', 2],
    ['{"quantity":9}', 9],
    ['{"quantitx":3}', 1],
    ['{"quantity": 3}', 3],
    [' {"note":"é","quantity": 3 , "x":[1]} ', 3],
    ['{"quantity":0}', 0],
    ['{"quantity":-1}', -1],
    ['{"quantity":1.5}', 1.5],
    ['{"quantity":1e30}', 1e30],
  ])('%s asks for %d', (text, quantity) => {
    expect(read(text)).toEqual({ outcome: 'read', quantity })
  })

  it('takes an absent body for one ticket', () => {
    expect(readBuyBody(null)).toEqual({ outcome: 'read', quantity: 1 })
  })

  it.each([
    '{',
    'quantity=2',
    '[]',
    '[1]',
    '5',
    '"a"',
    'null',
    'true',
    '{"quantity":"2"}',
    '{"quantity":null}',
    '{"quantity":{}}',
    '{"quantity":x}',
    '{"quantity":/}',
    '{"quantity":1]',
  ])('%s is malformed', (text) => {
    expect(read(text).outcome).toBe('malformed')
  })

  it('takes bytes that are no UTF-8 for malformed', () => {
    expect(readBuyBody(Buffer.from('{"a":"\u00ff"}', 'latin1')).outcome).toBe('malformed')
  })
})

describe('isIdempotencyKey', () => {
  it.each([
    ['abcd_-09', true],
    ['a'.repeat(64), true],
    ['a'.repeat(7), false],
    ['a'.repeat(65), false],
    ['abcdefg!', false],
    ['abcdefgé', false],
    ['abcdefgh\n', false],
  ])('%s: %s', (key, valid) => {
    expect(isIdempotencyKey(key)).toBe(valid)
  })
})
