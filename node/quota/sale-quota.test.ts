import { describe, expect, it } from 'vitest'
import type { FareLevel, Version } from '../../stock/core/words.ts'
import { type Admission, SaleQuota, type Wish } from './sale-quota.ts'

const SENT_MS = 5000
const LIMIT = 3

function level(remaining: number, allowance: number, changedSeq: number): FareLevel {
  return { fareId: 'f', stock: 100, remaining, held: 100 - remaining, paid: 0, allowance, changedSeq }
}

function wish(quantity: number, change: Partial<Wish> = {}): Wish {
  return { buyer: 'ann', fareId: 'f', quantity, mayRepeat: true, deducted: 0, asks: false, ...change }
}

class World {
  readonly quota = new SaleQuota<Wish>(
    { limitPerBuyer: LIMIT, opensAtMs: null, closesAtMs: null, fares: [{ id: 'f' }] },
    { line: 10, asking: 10 },
  )

  constructor(remaining: number, allowance: number) {
    this.join({ era: 1, seq: 10 }, level(remaining, allowance, 5))
  }

  join(version: Version, ...fares: FareLevel[]): void {
    const common = { outcome: 'joined' as const, version, nowMs: 0, state: 'open' as const, epoch: 1, weight: 1 }
    this.quota.hearJoin({ ...common, opensAtMs: null, closesAtMs: null, fares }, SENT_MS, SENT_MS)
  }

  hear(version: Version, ...fares: FareLevel[]): void {
    const common = { outcome: 'judged' as const, version, nowMs: 0, state: 'open' as const, verdicts: [] }
    this.quota.hearConfirm({ ...common, fares, unheard: [] }, SENT_MS, SENT_MS)
  }

  /** Everybody who has won up to `version` is known. */
  knowWinners(version: Version, ...buyers: string[]): void {
    this.quota.winners.follow(buyers, version, true, version)
    this.quota.winners.finishReading(this.quota.winners.reading)
  }

  admit(one: Wish, nowMs = SENT_MS): Admission {
    return this.quota.admit(one, nowMs)
  }
}

describe('levels', () => {
  it('a level replaces the one before, and an older one is dropped', () => {
    const world = new World(50, 20)
    world.hear({ era: 1, seq: 12 }, level(0, 0, 12))
    world.hear({ era: 1, seq: 11 }, level(1, 4, 11))
    expect(world.quota.fare('f')).toMatchObject({ level: { remaining: 0 }, version: { seq: 12 }, available: 0 })
  })

  it('a new era voids every level, zero and freshness of the old one', () => {
    const world = new World(0, 0)
    world.knowWinners({ era: 1, seq: 10 })
    expect(world.admit(wish(1))).toEqual({ to: 'buyer', refusal: 'all_held' })
    world.join({ era: 2, seq: 11 })
    expect(world.quota.fare('f')).toMatchObject({ level: null, available: 0 })
    expect(world.admit(wish(1))).toEqual({ to: 'line' })
    expect(world.quota.winners.isReading).toBe(true)
  })

  it('a lower allowance than what is in flight lets nobody pass until answers come', () => {
    const world = new World(50, 3)
    const first = wish(3)
    expect(world.admit(first)).toEqual({ to: 'store' })
    world.hear({ era: 1, seq: 11 }, level(2, 2, 11))
    expect(world.quota.fare('f')?.available).toBe(-1)
    world.quota.release(first)
    expect(world.quota.fare('f')).toMatchObject({ inFlight: 0, available: 2 })
  })
})

describe('the line', () => {
  it('a newcomer who would fit does not overtake one who waits', () => {
    const world = new World(50, 4)
    const first = wish(3)
    const second = wish(2)
    const third = wish(1)
    expect([first, second, third].map((one) => world.admit(one).to)).toEqual(['store', 'line', 'line'])
    expect(world.quota.wake(SENT_MS)).toEqual([])
    world.quota.release(first)
    expect(world.quota.wake(SENT_MS).map((moved) => moved.wish)).toEqual([second, third])
  })
})

describe('a zero', () => {
  it('is told from memory for less than a second, measured from the sending of what vouched for it', () => {
    const world = new World(0, 0)
    world.knowWinners({ era: 1, seq: 10 })
    expect(world.admit(wish(1), SENT_MS + 999)).toEqual({ to: 'buyer', refusal: 'all_held' })
    expect(world.admit(wish(1), SENT_MS + 1000)).toEqual({ to: 'store' })
  })

  it('is not told to a winner, nor to anybody with a key before the winners are known', () => {
    const world = new World(0, 0)
    expect(world.admit(wish(1))).toEqual({ to: 'store' })
    expect(world.admit(wish(1, { mayRepeat: false }))).toEqual({ to: 'buyer', refusal: 'all_held' })
    world.knowWinners({ era: 1, seq: 10 }, 'ann')
    expect(world.admit(wish(1))).toEqual({ to: 'store' })
    expect(world.admit(wish(1, { mayRepeat: false }))).toEqual({ to: 'store' })
    expect(world.admit(wish(1, { buyer: 'bob' }))).toEqual({ to: 'buyer', refusal: 'all_held' })
  })

  it('winners known only up to before the zero are not enough', () => {
    const world = new World(9, 9)
    world.knowWinners({ era: 1, seq: 10 })
    world.hear({ era: 1, seq: 11 }, level(0, 0, 11))
    expect(world.admit(wish(1))).toEqual({ to: 'store' })
    world.knowWinners({ era: 1, seq: 11 })
    expect(world.admit(wish(1))).toEqual({ to: 'buyer', refusal: 'all_held' })
  })
})

describe('quantities that cannot be', () => {
  it('are judged by the store where the key may have been used, else refused here', () => {
    const world = new World(50, 20)
    for (const quantity of [0, -1, 0.5, LIMIT + 1, Number.NaN, 1e300]) {
      expect(world.admit(wish(quantity, { mayRepeat: false }))).toEqual({ to: 'buyer', refusal: 'bad_quantity' })
      const asking = wish(quantity)
      expect(world.admit(asking)).toEqual({ to: 'store' })
      expect(world.quota.fare('f')?.inFlight).toBe(0)
      world.quota.release(asking)
    }
    expect(world.quota.asking).toBe(0)
  })
})
