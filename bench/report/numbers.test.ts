import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BenchDocument, ContestRun, GrowthRun } from './document.ts'
import { judgeDocument } from './judge.ts'
import { numbersOf, tableText, withTable } from './numbers.ts'
import { keptNumbers } from './table.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const HEAD = { title: 'Purchases', about: '', startedAtMs: 0, endedAtMs: 1, settings: {}, error: null }
const sample = (contender: string, round: number, perSecond: number) => ({
  contender,
  round,
  perSecond,
  p50Ms: 1,
  p99Ms: 2,
  outcomes: { won: 1 },
  faults: [],
})
const CONTEST: ContestRun = {
  ...HEAD,
  kind: 'contest',
  step: 'baselines',
  id: 'baselines',
  unit: 'purchases',
  reference: 'ours',
  contestants: [
    { name: 'ours', about: '' },
    { name: 'theirs', about: '' },
  ],
  rounds: 2,
  samples: [sample('ours', 0, 30), sample('theirs', 0, 10), sample('ours', 1, 50), sample('theirs', 1, 10)],
  bars: [{ against: 'theirs', atLeast: 5 }],
}
const point = (x: number, us: number) => ({
  x,
  purchaseNodeUs: us,
  startMs: 900,
  purchaseRedisUs: 1,
  refusalNodeUs: 5,
  refusalRedisUs: 1,
  purchasesPerCall: 9,
  faults: [],
})
const GROWTH: GrowthRun = {
  ...HEAD,
  kind: 'growth',
  step: 'growth-fares',
  id: 'growth-fares',
  axis: 'fares',
  wanted: [1, 10],
  points: [point(1, 9), point(10, 9.5)],
  bound: '',
}

function numbers(...runs: BenchDocument['runs']) {
  const document: BenchDocument = {
    format: 1,
    at: '2026-11-22T10:00:00.000Z',
    commit: '0123456789abcdef',
    machine: { cpu: 'A core', cores: 2 },
    programs: { node: 'v20', redis: '7' },
    settings: {},
    chosen: runs.map(({ step }) => step),
    runs,
  }
  const judgement = judgeDocument(document, () => ({ attempts: null, orders: null }))
  return numbersOf(document, judgement, ['baselines', 'growth-fares'])
}

describe('what is kept of a whole set', () => {
  it('is every bar with its figure, from the samples', () => {
    const kept = numbers(CONTEST, GROWTH)
    expect(kept.rows.map(({ value, lowest, bar, verdict }) => [value, lowest, bar, verdict])).toEqual([
      [4, 3, '>= 5', 'NOT REACHED'],
      [1.05, null, '<= 1.1', 'PASS'],
      [1, null, '<= 1.1', 'PASS'],
    ])
    expect(kept.verdict).toBe('NOT REACHED')
    expect(tableText(kept)).toContain(
      'Commit `0123456789ab`, 2026-11-22, A core, 2 cores, Node v20, Redis 7: NOT REACHED.',
    )
    expect(tableText(kept)).toContain('| purchases: ours against theirs | 4 | 3 | >= 5 | no |')
  })

  it('is FAIL for a missing run, a missing sample and a missing point', () => {
    expect(numbers(CONTEST).rows[0]).toMatchObject({ what: 'growth-fares: no run', value: null, verdict: 'FAIL' })
    expect(numbers(CONTEST).verdict).toBe('FAIL')
    const torn = numbers({ ...CONTEST, samples: CONTEST.samples.slice(1) }, GROWTH)
    expect(torn.rows[0]).toMatchObject({ value: null, verdict: 'FAIL' })
    expect(tableText(torn)).toContain('| missing |')
    const short = numbers(CONTEST, { ...GROWTH, points: [point(1, 9)] })
    expect([short.verdict, short.rows[1]?.value, short.rows[1]?.verdict]).toEqual(['FAIL', null, 'FAIL'])
  })

  it("is what README's table shows, figure by figure", () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
    expect(withTable(readme, keptNumbers(ROOT))).toBe(readme)
    expect(withTable(readme, numbers(CONTEST, GROWTH))).not.toBe(readme)
  })
})
