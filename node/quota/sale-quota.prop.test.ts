/**
 * The quota against its laws, over random sequences: wishes that arrive, are answered, given up or sent again;
 * replies that come late and out of order; time that passes; new eras.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareVersions, type FareLevel, type SaleState, type Version } from '../../stock/core/words.ts'
import { FRESH_MS } from '../../stock/core/heard.ts'
import { type Refusal, SaleQuota, type Wish } from './sale-quota.ts'

const FARES = ['a', 'b'] as const
const LIMIT = 3
const BOUNDS = { line: 4, asking: 3 }

interface Test extends Wish {
  readonly number: number
}

const buyer = fc.constantFrom('ann', 'bob', 'cem')
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('arrive' as const),
      buyer,
      fareId: fc.constantFrom(...FARES),
      quantity: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: LIMIT }) }, fc.constantFrom(0, 0.5, 4)),
      mayRepeat: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('answer' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('giveUp' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 300, 900, 1100) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      fareId: fc.constantFrom(...FARES),
      remaining: fc.constantFrom(0, 0, 1, 2, 5),
      winner: fc.option(buyer),
      state: fc.constantFrom<SaleState[]>('open', 'open', 'open', 'paused', 'closed'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('reply' as const),
      kind: fc.constantFrom('heartbeat' as const, 'heartbeat' as const, 'confirm' as const),
      /** How many changes ago the store judged it, and how long ago it was sent. */
      behind: fc.constantFrom(0, 0, 0, 1, 3),
      agoMs: fc.constantFrom(0, 5, 1200),
      fareId: fc.constantFrom(...FARES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('newEra' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('winnersRead' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** The store at one version. */
interface Snapshot {
  readonly version: Version
  readonly state: SaleState
  readonly remaining: Readonly<Record<string, number>>
  readonly changedSeq: Readonly<Record<string, number>>
  readonly winners: ReadonlySet<string>
  /** When it became so. */
  readonly sinceMs: number
}

class Model {
  readonly quota = new SaleQuota<Test>(
    { limitPerBuyer: LIMIT, opensAtMs: null, closesAtMs: null, fares: FARES.map((id) => ({ id })) },
    BOUNDS,
  )
  readonly history: Snapshot[] = []
  /** Sent to the store and not answered; in line; done. Every wish is in exactly one of these. */
  readonly sent: Test[] = []
  readonly line: Test[] = []
  readonly done = new Set<number>()
  nowMs = 5000
  arrived = 0

  constructor() {
    const none = { a: 5, b: 5 }
    this.history.push({
      version: { era: 1, seq: 1 },
      state: 'open',
      remaining: none,
      changedSeq: { a: 1, b: 1 },
      winners: new Set(),
      sinceMs: 0,
    })
    this.join()
  }

  get store(): Snapshot {
    const last = this.history.at(-1)
    if (last === undefined) throw new Error('no history')
    return last
  }

  perform(one: Step): void {
    switch (one.do) {
      case 'arrive': {
        const { buyer: who, fareId, quantity, mayRepeat } = one
        this.arrived += 1
        const wish: Test = { number: this.arrived, buyer: who, fareId, quantity, mayRepeat, deducted: 0, asks: false }
        this.place(wish, this.quota.admit(wish, this.nowMs))
        return
      }
      case 'answer': {
        const wish = this.sent.splice(one.pick % Math.max(this.sent.length, 1), 1)[0]
        if (wish === undefined) return
        this.quota.release(wish)
        this.quota.release(wish)
        this.finish(wish)
        return
      }
      case 'giveUp': {
        const wish = this.line.splice(one.pick % Math.max(this.line.length, 1), 1)[0]
        if (wish === undefined) return
        expect(this.quota.leave(wish)).toBe(true)
        expect(this.quota.leave(wish)).toBe(false)
        this.finish(wish)
        return
      }
      case 'pass':
        this.nowMs += one.ms
        return
      case 'change': {
        const { store } = this
        const version = { era: store.version.era, seq: store.version.seq + 1 }
        const winners = new Set(store.winners)
        if (one.winner !== null) winners.add(one.winner)
        this.history.push({
          version,
          state: one.state,
          remaining: { ...store.remaining, [one.fareId]: one.remaining },
          changedSeq: { ...store.changedSeq, [one.fareId]: version.seq },
          winners,
          sinceMs: this.nowMs,
        })
        return
      }
      case 'reply':
        this.reply(one)
        return
      case 'newEra': {
        const { store } = this
        this.history.push({
          ...store,
          version: { era: store.version.era + 1, seq: store.version.seq + 1 },
          sinceMs: this.nowMs,
        })
        this.join()
        return
      }
      case 'winnersRead':
        for (const name of this.store.winners) this.quota.winners.add(name)
        this.quota.winners.finishReading(this.quota.winners.reading)
    }
  }

  private reply(one: Extract<Step, { do: 'reply' }>): void {
    const at = this.history[Math.max(0, this.history.length - 1 - one.behind)] ?? this.store
    if (at.version.era !== this.quota.seen.era) return
    // It was sent before the store judged it, and the store judged it while it was so.
    const next = this.history[this.history.indexOf(at) + 1]
    const sentMs = Math.min(this.nowMs - one.agoMs, next?.sinceMs ?? this.nowMs)
    const common = { version: at.version, nowMs: this.nowMs, state: at.state }
    if (one.kind === 'confirm') {
      const fares = [levelOf(at, one.fareId)]
      this.quota.hearConfirm({ outcome: 'judged', ...common, verdicts: [], fares, unheard: [] }, sentMs, this.nowMs)
    } else {
      const since = this.quota.synced.era === at.version.era ? this.quota.synced.seq : 0
      const fares = FARES.filter((id) => (at.changedSeq[id] ?? 0) > since).map((id) => levelOf(at, id))
      const page = { buyers: [...at.winners], orderIds: [], settled: [] }
      const winners = { ...page, cursor: at.version, complete: true, lost: false }
      const times = { opensAtMs: null, closesAtMs: null }
      this.quota.hearHeartbeat(
        { outcome: 'alive', ...common, ...times, weight: 1, fares, winners, heardSeq: 0, reopenedSeq: 0 },
        sentMs,
        this.nowMs,
      )
    }
    this.wake()
  }

  private join(): void {
    const { version, state } = this.store
    const fares = FARES.map((id) => levelOf(this.store, id))
    const common = { outcome: 'joined' as const, version, nowMs: this.nowMs, state, epoch: 1, weight: 1 }
    this.quota.hearJoin({ ...common, opensAtMs: null, closesAtMs: null, fares }, this.nowMs, this.nowMs)
    this.wake()
  }

  /** Everybody comes out in the order in which they stood, per fare. */
  private wake(): void {
    const moved = this.quota.wake(this.nowMs)
    for (const fareId of FARES) {
      const before = this.line.filter((wish) => wish.fareId === fareId)
      const out = moved.filter(({ wish }) => wish.fareId === fareId).map(({ wish }) => wish.number)
      expect(out).toEqual(before.slice(0, out.length).map(({ number }) => number))
    }
    for (const { wish, admission } of moved) {
      this.line.splice(this.line.indexOf(wish), 1)
      this.place(wish, admission)
    }
  }

  private place(wish: Test, admission: ReturnType<SaleQuota<Test>['admit']>): void {
    switch (admission.to) {
      case 'store':
        this.sent.push(wish)
        break
      case 'line':
        this.line.push(wish)
        break
      case 'buyer':
        this.judgeRefusal(wish, admission.refusal)
        this.finish(wish)
        break
      case 'nobody':
        expect(this.quota.lineLength === BOUNDS.line || this.quota.asking === BOUNDS.asking).toBe(true)
        this.finish(wish)
        break
    }
  }

  /**
   * Would the store itself have said so at some time in the last second, to this buyer? That is all that the design
   * asks: a buyer who won within that second, on a ticket that came back meanwhile, may hear the old zero once more.
   */
  private judgeRefusal(wish: Test, refusal: Refusal): void {
    if (refusal === 'bad_quantity') {
      expect(wish.mayRepeat).toBe(false)
      return
    }
    const isTrue = this.history.some((at, index) => {
      const untilMs = this.history[index + 1]?.sinceMs ?? this.nowMs
      const mayBeRepeat = wish.mayRepeat && at.winners.has(wish.buyer)
      return untilMs > this.nowMs - FRESH_MS && wasTrue(at, wish, refusal) && !mayBeRepeat
    })
    expect(isTrue, `${refusal} for ${wish.buyer}`).toBe(true)
  }

  private finish(wish: Test): void {
    expect(this.done.has(wish.number)).toBe(false)
    this.done.add(wish.number)
  }

  /** The laws that hold after every step. */
  check(): void {
    for (const fare of this.quota.fares()) {
      const out = this.sent.filter((wish) => wish.fareId === fare.fareId)
      expect(fare.inFlight).toBe(out.reduce((sum, wish) => sum + wish.deducted, 0))
      expect(fare.inFlight).toBeGreaterThanOrEqual(0)
    }
    expect(this.quota.asking).toBe(this.sent.filter((wish) => wish.asks).length)
    expect(this.quota.asking).toBeLessThanOrEqual(BOUNDS.asking)
    expect(this.quota.lineLength).toBe(this.line.length)
    expect(this.quota.lineLength).toBeLessThanOrEqual(BOUNDS.line)
    expect(this.done.size + this.sent.length + this.line.length).toBe(this.arrived)
    for (const wish of this.line) expect(wish.deducted).toBe(0)
    expect(compareVersions(this.quota.seen, this.store.version)).toBeLessThanOrEqual(0)
  }
}

function wasTrue({ state, remaining }: Snapshot, { fareId, quantity }: Test, refusal: Refusal): boolean {
  if (refusal === 'paused' || refusal === 'closed') return state === refusal
  const left = remaining[fareId] ?? 0
  return left < quantity && refusal === (left > 0 ? 'not_enough' : 'all_held')
}

function levelOf({ remaining, changedSeq }: Snapshot, fareId: string): FareLevel {
  const left = remaining[fareId] ?? 0
  const allowance = left === 0 ? 0 : Math.max(LIMIT, left)
  return { fareId, stock: 9, remaining: left, held: 9 - left, paid: 0, allowance, changedSeq: changedSeq[fareId] ?? 0 }
}

describe('SaleQuota', () => {
  it('keeps its laws over any sequence', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const model = new Model()
        for (const one of steps) {
          model.perform(one)
          model.check()
        }
      }),
      { numRuns: Number(process.env['FAREBOX_PROPERTY_RUNS'] ?? 300) },
    )
  }, 60_000)
})
