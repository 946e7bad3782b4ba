import { describe, expect, it } from 'vitest'
import { type BacklogPoint, judgeBacklog, slopeOf } from './keep-up.ts'
import { levelOf } from './orders-process.ts'

const RATE = 3000

/** A look every half second for a minute. */
function watched(backlogAt: (seconds: number) => number): BacklogPoint[] {
  return Array.from({ length: 120 }, (_, n) => {
    const atSeconds = n / 2
    const sold = atSeconds * RATE
    return { atSeconds, sold, taken: sold - backlogAt(atSeconds), lagMs: 0 }
  })
}

function verdicts(points: readonly BacklogPoint[], more: Partial<Parameters<typeof judgeBacklog>[0]> = {}): string[] {
  const all = judgeBacklog({
    rate: RATE,
    kind: 'pglite',
    points,
    drainedMs: 200,
    soldPerSecond: RATE,
    faults: [],
    ...more,
  })
  return all.map(({ verdict }) => verdict)
}

const [PASS, MISSED, FAIL] = ['PASS', 'NOT REACHED', 'FAIL']

describe('a ledger keeps up', () => {
  it('when its backlog comes and goes', () => {
    expect(verdicts(watched((at) => 300 + 200 * Math.sin(at)))).toEqual([PASS, PASS, PASS, PASS])
  })

  it('not when it grows, however slowly', () => {
    expect(verdicts(watched((at) => 45 * at))).toEqual([PASS, PASS, MISSED, PASS])
  })

  it('not when it was far behind once', () => {
    expect(verdicts(watched((at) => (at === 30 ? RATE + 1 : 100)))).toEqual([PASS, MISSED, PASS, PASS])
  })

  it('not when something is left, or less was sold than was to be', () => {
    expect(
      verdicts(
        watched(() => 0),
        { drainedMs: 2500, soldPerSecond: 2800 },
      ),
    ).toEqual([MISSED, PASS, PASS, MISSED])
  })

  it('not when nobody looked, or a purchase failed', () => {
    expect(verdicts([])).toEqual([PASS, FAIL, FAIL, PASS])
    expect(
      verdicts(
        watched(() => 0),
        { faults: ['one unanswered'] },
      ),
    ).toEqual([FAIL, FAIL, FAIL, FAIL])
  })
})

it('the slope is that of the straight line', () => {
  expect(slopeOf([0, 1, 2, 3].map((x) => [x, 5 - 2 * x]))).toBeCloseTo(-2)
  expect(slopeOf([[0, 1]])).toBeNaN()
})

it('a level is read from the metrics, and missing when the sale is not known yet', () => {
  const text = 'farebox_orders_taken_total 12\nfarebox_orders_lag_ms{sale="bench"} 3.5\n'
  expect(levelOf(text)).toEqual({ taken: 12, lagMs: 3.5 })
  expect(levelOf('farebox_orders_taken_total 0\n').lagMs).toBeNaN()
})
