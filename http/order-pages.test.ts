import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { cursorOf, type Listed, newestFirst, pageOfLists, type Place, placeOf } from './order-pages.ts'

const order = fc.record({ createdAtMs: fc.integer({ min: 1, max: 5 }), id: fc.stringMatching(/^[0-9a-z]{3}$/) })
const lists = fc.array(fc.uniqueArray(order, { selector: ({ id }) => id, maxLength: 8 }), { maxLength: 3 })

/** Asks page after page, as a buyer does; null where the lists do not reach. */
function pages(from: readonly Listed<Place>[], limit: number): { readonly found: Place[]; readonly isCutOff: boolean } {
  const found: Place[] = []
  let after: Place | null = null
  for (;;) {
    const page = pageOfLists(from, after, limit)
    if (page === null) return { found, isCutOff: true }
    found.push(...page.items)
    if (page.nextCursor === null) return { found, isCutOff: false }
    after = placeOf(page.nextCursor)
  }
}

describe('a cursor', () => {
  it('is the place of an order, and text that is none is told apart', () => {
    const place = { createdAtMs: 1_800_000_000_000, id: '0123456789abcdefghjkmnpqrs' }
    expect(placeOf(cursorOf(place))).toEqual(place)
    for (const text of ['', 'x', place.id, '1-', '-a', '1-A', '1-a-b', `${'9'.repeat(16)}-a`]) {
      expect(placeOf(text)).toBeNull()
    }
  })
})

describe('pages of lists', () => {
  test.prop([lists, fc.integer({ min: 1, max: 5 })])('have every order once, newest first', (orders, limit) => {
    const unique = orders.map((list, sale) => list.map((one) => ({ ...one, id: `${one.id}${sale}` })))
    const { found, isCutOff } = pages(
      unique.map((list) => ({ orders: list, isWhole: true })),
      limit,
    )
    expect(isCutOff).toBe(false)
    expect(found).toEqual(unique.flat().toSorted(newestFirst))
  })

  test.prop([lists, fc.integer({ min: 1, max: 5 }), fc.nat(9)])(
    'of which one is cut off end in the open, without a hole before that',
    (orders, limit, kept) => {
      const unique = orders.map((list, sale) => list.map((one) => ({ ...one, id: `${one.id}${sale}` })))
      const listed = unique.map((list, sale) => ({
        orders: sale === 0 ? list.toSorted(newestFirst).slice(0, kept + 1) : list,
        isWhole: sale !== 0 || kept + 1 >= list.length,
      }))
      const { found, isCutOff } = pages(listed, limit)
      const whole = unique.flat().toSorted(newestFirst)
      expect(found).toEqual(whole.slice(0, found.length))
      expect(isCutOff).toBe(listed.some(({ isWhole }) => !isWhole))
      if (!isCutOff) expect(found).toHaveLength(whole.length)
    },
  )
})
