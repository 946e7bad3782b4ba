import { describe, expect, it } from 'vitest'
import { SteppedClock } from '../runtime/clock.ts'
import type { SaleState } from '../stock/core/words.ts'
import { OpeningWatch } from './opening-watch.ts'
import { type PendingBuy } from './pending-buy.ts'
import { SaleQuota } from './quota/sale-quota.ts'

const NOW_MS = 1_800_000_000_000

/** A desk's quota that heard, just now, that its sale opens in so long. */
function opening(inMs: number | null, state: SaleState = 'scheduled', version = 1) {
  const opensAtMs = inMs === null ? null : NOW_MS + inMs
  const times = { opensAtMs, closesAtMs: null }
  const definition = { ...times, limitPerBuyer: 1, fares: [{ id: 'seat' }] }
  const quota = new SaleQuota<PendingBuy>(definition, { line: 1, asking: 1 })
  const heard = { version: { era: 1, seq: version }, nowMs: NOW_MS, state, fares: [] }
  quota.hearJoin({ ...times, ...heard, outcome: 'joined', epoch: 1, weight: 1 }, 0, 0)
  return { quota }
}

function watch(desks: ReadonlyMap<string, ReturnType<typeof opening>>) {
  const clock = new SteppedClock()
  const rehearsed: string[] = []
  const ends: (() => void)[] = []
  const look = new OpeningWatch(desks, clock, (saleIds) => {
    rehearsed.push(saleIds.join(' '))
    return new Promise((resolve) => {
      ends.push(resolve)
    })
  })
  const later = async (ms: number): Promise<void> => {
    clock.advance(ms)
    look.look()
    await Promise.resolve()
  }
  return { look, rehearsed, later, end: () => ends.pop()?.() }
}

describe('an opening', () => {
  it('is rehearsed once, in its last second by the clock of the store', async () => {
    const { rehearsed, later, end } = watch(new Map([['one', opening(5000)]]))
    await later(3900)
    expect(rehearsed).toEqual([])
    await later(150)
    expect(rehearsed).toEqual(['one'])
    end()
    await later(100)
    await later(100)
    expect(rehearsed).toEqual(['one'])
  })

  it('is rehearsed again when it was put off', async () => {
    const desks = new Map([['one', opening(500)]])
    const { rehearsed, later, end } = watch(desks)
    await later(1)
    end()
    await later(1)
    desks.set('one', opening(2000))
    await later(1)
    expect(rehearsed).toEqual(['one'])
    await later(1500)
    expect(rehearsed).toEqual(['one', 'one'])
  })

  it('shares its rehearsal with those beside it, and none runs beside another', async () => {
    const desks = new Map([
      ['one', opening(900)],
      ['two', opening(950)],
      ['three', opening(1500)],
    ])
    const { rehearsed, later, end } = watch(desks)
    await later(1)
    await later(700)
    expect(rehearsed).toEqual(['one two'])
    end()
    await later(1)
    await later(1)
    expect(rehearsed).toEqual(['one two', 'three'])
  })

  it('by hand is rehearsed at once, and waits for the end of a rehearsal that is under way', async () => {
    const { look, rehearsed, later, end } = watch(new Map([['one', opening(500)]]))
    await look.now(async () => void rehearsed.push('by hand'))
    await later(1)
    const waited = look.now(async () => void rehearsed.push('beside another'))
    expect(rehearsed).toEqual(['by hand', 'one'])
    end()
    await waited
    expect(rehearsed).toEqual(['by hand', 'one'])
  })

  it('that has been, or is not by the clock, is not rehearsed', async () => {
    const desks = new Map([
      ['past', opening(-1)],
      ['paused', opening(500, 'paused')],
      ['by-hand', opening(null, 'draft')],
    ])
    const { rehearsed, later } = watch(desks)
    await later(1)
    expect(rehearsed).toEqual([])
  })
})
