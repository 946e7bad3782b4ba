import { describe, expect, it } from 'vitest'
import { divideCores } from '../cluster/cores.ts'
import { shareFigures } from '../scenarios/death.ts'
import { runDeductions } from '../contest/deduction.ts'
import { countFaults } from '../contest/system.ts'
import { Progress } from '../set/progress.ts'
import type { ContestRun, DefectRun, GrowthRun } from './document.ts'
import { judgeRun, ratiosOf } from './judge.ts'
import { answerRates, sinceFirstBuyer } from './series.ts'

const NO_EVIDENCE = { attempts: null, orders: null }
const HEAD = { step: 's', id: 's', title: 'S', about: '', startedAtMs: 0, endedAtMs: 1, settings: {}, error: null }
const sample = (contender: string, round: number, perSecond: number, ...faults: string[]) => ({
  contender,
  round,
  perSecond,
  p50Ms: 1,
  p99Ms: 2,
  outcomes: { won: 1 },
  faults,
})
const point = (x: number, us: number | null) => ({
  x,
  purchaseNodeUs: us,
  purchaseRedisUs: 1,
  refusalNodeUs: 5,
  refusalRedisUs: 1,
  purchasesPerCall: 10,
  startMs: 900,
  faults: [],
})

const order = (n: number) => ({
  id: `o${n}`,
  buyer: `b${n}`,
  fare: 'a',
  quantity: 1,
  state: 'held',
  createdAtMs: 1000 + n * 10,
})

const attempt = (answeredMs: number, outcome: 'won' | 'refused') => ({
  outcome,
  buyer: 'b',
  key: 'k',
  fare: 'a',
  quantity: 1,
  status: 201,
  what: 'id',
  sentMs: answeredMs - 5,
  answeredMs,
})

const growthOf = (...points: ReturnType<typeof point>[]): GrowthRun => ({
  ...HEAD,
  kind: 'growth',
  axis: 'fares',
  wanted: [1, 10],
  points,
  bound: '',
})

const CONTEST: ContestRun = {
  ...HEAD,
  kind: 'contest',
  unit: 'purchases',
  reference: 'ours',
  contestants: [
    { name: 'ours', about: '' },
    { name: 'theirs', about: '' },
  ],
  rounds: 2,
  samples: [sample('ours', 0, 30), sample('theirs', 0, 10), sample('ours', 1, 50), sample('theirs', 1, 10)],
  bars: [{ against: 'theirs', atLeast: 4 }],
}

describe('a contest', () => {
  it('takes ratios within a round and holds their median against the bar', () => {
    expect(ratiosOf(CONTEST, 'theirs')).toEqual([3, 5])
    expect(judgeRun(CONTEST, NO_EVIDENCE)).toEqual({ verdict: 'PASS', reasons: [] })
    const higher = { ...CONTEST, bars: [{ against: 'theirs', atLeast: 5 }] }
    expect(judgeRun(higher, NO_EVIDENCE).verdict).toBe('NOT REACHED')
  })

  it('fails on a missing sample, a sample with faults, one without a figure, and on breaking off', () => {
    const [first, ...others] = CONTEST.samples
    for (const samples of [others, [...others, sample('ours', 0, 30, 'oversold')], [...others, sample('ours', 0, 0)]]) {
      expect(judgeRun({ ...CONTEST, samples }, NO_EVIDENCE).verdict).toBe('FAIL')
    }
    expect(first).toBeDefined()
    expect(judgeRun({ ...CONTEST, error: 'no wrk' }, NO_EVIDENCE).verdict).toBe('FAIL')
  })
})

describe('defects', () => {
  const count = { stock: 9, told: 9, oversold: 0, stranded: 0, notSoldAgain: 0, failed: 3, unanswered: 0 }
  const run = (knownDefect: string | null, oversold: number): DefectRun => ({
    ...HEAD,
    kind: 'defects',
    contenders: [{ name: 'a', about: '', knownDefect }],
    counts: [{ ...count, contender: 'a', oversold }],
  })

  it('may show where they are known, and nowhere else', () => {
    expect(judgeRun(run('oversells', 2), NO_EVIDENCE).verdict).toBe('PASS')
    expect(judgeRun(run(null, 0), NO_EVIDENCE).verdict).toBe('PASS')
    expect(judgeRun(run(null, 2), NO_EVIDENCE).verdict).toBe('FAIL')
    expect(judgeRun({ ...run(null, 0), counts: [] }, NO_EVIDENCE).verdict).toBe('FAIL')
  })

  it('of the moment of deduction: only holding in advance sells everything, once', () => {
    const counts = runDeductions().counts.map(({ told, oversold, stranded }) => [told, oversold > 0, stranded > 0])
    expect(counts).toEqual([
      [300, false, true],
      [400, true, false],
      [400, false, false],
    ])
  })

  it("of a baseline's own counts are found", () => {
    const lawful = { remaining: 4, sold: 6, outcomes: { won: 6, aborted: 0 } }
    expect(countFaults([lawful], 10)).toEqual([])
    expect(countFaults([{ ...lawful, sold: 7 }], 10)).toHaveLength(2)
    expect(countFaults([{ ...lawful, outcomes: { won: 5, aborted: 0 } }], 10)).toHaveLength(1)
    expect(countFaults([], 10)).toHaveLength(1)
  })
})

describe('growth', () => {
  it('is flat within a tenth, or a finding; a missing point or figure is a failure', () => {
    expect(judgeRun(growthOf(point(1, 9), point(10, 9.9)), NO_EVIDENCE).verdict).toBe('PASS')
    expect(judgeRun(growthOf(point(1, 9), point(10, 11)), NO_EVIDENCE).verdict).toBe('NOT REACHED')
    expect(judgeRun(growthOf(point(1, 9)), NO_EVIDENCE).verdict).toBe('FAIL')
    const bent = { ...growthOf(point(1, 9), point(5, 19), point(10, 9)), wanted: [1, 5, 10] }
    expect(judgeRun(bent, NO_EVIDENCE).reasons).toEqual([
      'a purchase costs 2.00 times as much at 5 fares as at 1: nodes 9.00 to 19.0 µs, Redis 1.00 to 1.00 µs, purchases per call 10.0 to 10.0',
    ])
    expect(judgeRun(growthOf(point(1, 9), point(10, null)), NO_EVIDENCE).verdict).toBe('FAIL')
  })
})

describe('a death', () => {
  it('leaves the last of what remained to the others: first and last of that share', () => {
    const orders = Array.from({ length: 9 }, (_, n) => order(n))
    const figures = shareFigures({ atMs: 1000, remaining: 8, share: 0.25 }, orders)
    expect(figures.map(({ value }) => value)).toEqual([2, 70, 80])
    expect(shareFigures(null, orders).map(({ value }) => value)).toEqual([0, null, null])
  })
})

describe('over time', () => {
  it('answers are counted in the interval in which they came', () => {
    const { lines } = answerRates([attempt(3000, 'won'), attempt(3010, 'won'), attempt(3990, 'refused')], 0)
    const total = lines.map(({ values }) => values.reduce<number>((sum, value) => sum + (value ?? 0) / 10, 0))
    expect(total).toEqual([2, 1])
  })

  it('samples begin shortly before the first buyer', () => {
    const points = Array.from({ length: 9 }, (_, index) => ({
      index,
      atMs: index * 500,
      nodes: {},
      remaining: 1,
      store: null,
    }))
    const samples = { intervalMs: 500, wanted: 9, points }
    expect(sinceFirstBuyer(samples, [attempt(3005, 'won')], 0).points[0]?.atMs).toBe(2000)
  })
})

describe('the surroundings of a run', () => {
  it('divides cores, and pins nothing where it cannot', () => {
    expect(divideCores(2, true)).toEqual({ servers: '0', load: '1' })
    expect(divideCores(5, true)).toEqual({ servers: '0-2', load: '3-4' })
    expect(divideCores(1, true)).toEqual({ servers: null, load: null })
    expect(divideCores(4, false)).toEqual({ servers: null, load: null })
  })

  it('shows a bar that grows with time and steps, one line per step where there is no terminal', () => {
    const written: string[] = []
    let nowMs = 0
    const steps = [
      { name: 'one', seconds: 10 },
      { name: 'two', seconds: 30 },
    ]
    const progress = new Progress({ write: (text) => written.push(text) }, steps, () => nowMs)
    progress.begin()
    nowMs = 10_000
    progress.begin()
    progress.end()
    expect(written).toHaveLength(2)
    expect(written[1]).toMatch(/^█{6}·{18} {2}2\/2 two {2}0:10 gone, about 0:30 left\n$/)
  })
})
