import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSaleFile } from './sale-file.ts'

const GOOD = `
id: demo
name: G1 Beijing to Shanghai
opensAt: 2027-01-20T10:00:00+08:00
limitPerBuyer: 2
holdSeconds: 300
fares:
  - { id: second, name: Second class, stock: 10000, price: { amount: 55300, currency: CNY } }
`

function faultPaths(text: string): string[] {
  const result = parseSaleFile(text)
  return result.ok ? [] : result.faults.map(({ path }) => path)
}

describe('parseSaleFile', () => {
  it('reads the sale of the design', () => {
    expect(parseSaleFile(GOOD)).toEqual({
      ok: true,
      value: {
        id: 'demo',
        name: 'G1 Beijing to Shanghai',
        opensAtMs: Date.UTC(2027, 0, 20, 2),
        closesAtMs: null,
        limitPerBuyer: 2,
        holdMs: 300_000,
        fares: [{ id: 'second', name: 'Second class', stock: 10000, price: { amount: 55300, currency: 'CNY' } }],
      },
    })
  })

  it('reads the example, which opens by hand', () => {
    const result = parseSaleFile(readFileSync(join(import.meta.dirname, 'demo-sale.yaml'), 'utf8'))
    expect(result).toMatchObject({ ok: true, value: { id: 'demo', opensAtMs: null } })
  })

  it('tells all faults at once', () => {
    const text = `
id: Demo
opensAt: 2027-01-20T10:00:00
closesAt: tomorrow
limitPerBuyer: 0
holdSeconds: 1.5
color: red
fares:
  - { id: a, name: A, stock: -1, price: { amount: 1.5, currency: cny, tax: 3 } }
  - { id: a, name: '', stock: 1000000001, price: 5 }
  - second
`
    expect(faultPaths(text).toSorted()).toEqual(
      [
        'id',
        'name',
        'opensAt',
        'closesAt',
        'limitPerBuyer',
        'holdSeconds',
        'color',
        'fares[0].stock',
        'fares[0].price.tax',
        'fares[0].price.amount',
        'fares[0].price.currency',
        'fares[1].id',
        'fares[1].name',
        'fares[1].stock',
        'fares[1].price',
        'fares[2]',
      ].toSorted(),
    )
  })

  it.each([
    ['id', '-a'],
    ['id', 'a'.repeat(33)],
    ['opensAt', '2027-02-30T10:00:00Z'],
    ['opensAt', '2027-01-20'],
    ['limitPerBuyer', '"2"'],
    ['holdSeconds', '0'],
    ['fares', '[]'],
    ['fares', '{}'],
  ])('refuses %s: %s, showing what stands there', (key, value) => {
    const lines = GOOD.trim()
      .split('\n')
      .filter((line) => !line.startsWith(`${key}:`) && !(key === 'fares' && line.startsWith(' ')))
    const result = parseSaleFile([...lines, `${key}: ${value}`].join('\n'))
    expect(result.ok ? [] : result.faults.map(({ path }) => path)).toEqual([key])
  })

  it('wants closesAt after opensAt', () => {
    expect(faultPaths(`${GOOD}closesAt: 2027-01-20T10:00:01+08:00\n`)).toEqual([])
    expect(faultPaths(`${GOOD}closesAt: 2027-01-20T02:00:00Z\n`)).toEqual(['closesAt'])
  })

  it('refuses broken YAML, an empty file, a doubled key, and more than 1000 fares', () => {
    expect(faultPaths('id: [')).not.toEqual([])
    expect(faultPaths('')).toEqual([''])
    expect(faultPaths(`${GOOD}name: twice\n`)).toEqual([''])
    const fares = Array.from(
      { length: 1001 },
      (_, index) => `{id: f${index}, name: F, stock: 1, price: {amount: 1, currency: EUR}}`,
    )
    expect(faultPaths(GOOD.replace(/fares:[^]*/, `fares: [${fares.join(', ')}]`))).toEqual(['fares'])
  })
})
