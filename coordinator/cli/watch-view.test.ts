import { describe, expect, it } from 'vitest'
import { countsOf, type WatchFrame, type WatchNode } from '../operations/watch.ts'
import { bar, plainLine, ratesOf, renderWatch, sparkline } from './watch-view.ts'

function metrics(won: number, busy: number, calls: number, items: number): string {
  return [
    '# HELP farebox_buys_total Buy calls by how they ended.',
    `farebox_buys_total{outcome="won"} ${won}`,
    `farebox_buys_total{outcome="busy"} ${busy}`,
    `farebox_buys_total{outcome="all_held"} 0`,
    `farebox_batch_items_sum ${items}`,
    `farebox_batch_items_count ${calls}`,
    'farebox_store_errors_total 3',
    `farebox_buy_stage_seconds_bucket{stage="wait",le="0.001"} 99`,
    `farebox_buy_stage_seconds_bucket{le="0.001",stage="total"} ${won / 2}`,
    `farebox_buy_stage_seconds_bucket{le="0.01",stage="total"} ${won}`,
    `farebox_buy_stage_seconds_bucket{le="+Inf",stage="total"} ${won}`,
  ].join('\n')
}

function node(id: string, text: string | null, more: Partial<WatchNode> = {}): WatchNode {
  const quota = { allowance: 30, inFlight: 2, parked: 0, heartbeatAgeMs: 120 }
  return {
    id,
    state: 'live',
    weight: 1,
    isHeard: true,
    ...quota,
    counts: text === null ? null : countsOf(text),
    ...more,
  }
}

function frame(nowMs: number, nodes: readonly WatchNode[], alarms: readonly string[] = []): WatchFrame {
  const at = new Date(nowMs).toISOString()
  const fares = [
    {
      id: 'seat',
      name: 'Seat',
      price: { amount: 1, currency: 'EUR' },
      stock: 1000,
      remaining: 250,
      held: 700,
      paid: 50,
    },
  ]
  const sale = { id: 'demo', name: 'Demo', state: 'open', recovering: false, opensAt: null, closesAt: null }
  const rest = { serverTime: at, limitPerBuyer: 2, holdSeconds: 60, version: { era: 1, seq: 1 } }
  return { at, nowMs, leader: 'c1', sales: [{ ...sale, ...rest, fares }], nodes, alarms }
}

const before = frame(1_800_000_000_000, [node('n1', metrics(100, 0, 50, 100)), node('n2', metrics(10, 0, 5, 10))])
const now = frame(1_800_000_002_000, [node('n1', metrics(300, 4, 100, 300)), node('n2', metrics(4, 0, 1, 4))])

describe('rates', () => {
  it('are what two looks differ by, a second each', () => {
    expect(ratesOf(before.nodes.slice(0, 1), now.nodes.slice(0, 1), 2)).toEqual({
      won: 100,
      refused: 0,
      trouble: 2,
      byOutcome: { won: 100, busy: 2, all_held: 0 },
      calls: 25,
      batch: 4,
      p50Ms: 1,
      p99Ms: 10,
    })
  })

  it('of a process that began anew are not below zero, and of one that is silent nothing', () => {
    expect(ratesOf(before.nodes, now.nodes, 2).won).toBe(100)
    expect(ratesOf(before.nodes, [node('n1', null)], 2)).toMatchObject({ won: 0, batch: null, p99Ms: null })
  })
})

describe('the screen', () => {
  it('is never wider or longer than the terminal, with colours and without', () => {
    for (const colours of [true, false]) {
      for (const [columns, rows] of [
        [120, 40],
        [80, 24],
        [60, 10],
        [40, 5],
      ] as const) {
        const lines = renderWatch(now, before, [1, 2, 3], { columns, rows, colours })
        expect(lines.length).toBeLessThanOrEqual(rows)
        // oxlint-disable-next-line no-control-regex -- the marks of colours are control characters
        for (const line of lines) expect(line.replaceAll(/\u001b\[\d+m/g, '').length).toBeLessThanOrEqual(columns)
      }
    }
  })

  it('shows the sale, the rates, every node and the alarms', () => {
    const screen = { columns: 120, rows: 40, colours: false }
    const dead = frame(now.nowMs, [...now.nodes, node('n3', null, { state: 'dead' })], ['node n3 is dead'])
    const text = renderWatch(dead, before, [5], screen).join('\n')
    for (const wanted of ['250 of 1,000 left', '700 held', 'won 100', 'busy 2.0', 'ALARM node n3 is dead', 'n3 ']) {
      expect(text).toContain(wanted)
    }
    expect(plainLine(dead, before)).toContain('won/s=100 refused/s=0 trouble/s=2.0 p99=≤10 ms nodes=2/3 ALARM')
  })

  it('draws bars and lines of what it is given', () => {
    expect([bar(0, 4), bar(0.5, 4), bar(1, 4), bar(7, 4)]).toEqual(['░░░░', '██░░', '████', '████'])
    expect(sparkline([0, 4, 8])).toBe(' ▄█')
  })
})

function at(columns: number): string[] {
  return renderWatch(now, before, [], { columns, rows: 24, colours: false })
}

describe('a narrow terminal', () => {
  it('keeps the columns that tell how a node is, whole, and does without others', () => {
    const titles = (columns: number): string => at(columns).find((line) => line.startsWith('NODE')) ?? ''
    expect(titles(200)).toMatch(/QUOTA +IN FLIGHT +WAITING +BATCH +P99 +HEARD$/)
    expect(titles(80)).toMatch(/^NODE +STATE +WEIGHT .* TROUBLE\/S .* P99 +HEARD$/)
    expect(titles(60)).toMatch(/P99 +HEARD$/)
    expect(at(80).find((line) => line.startsWith('n1'))).toMatch(/ 120 ms$/)
  })
})
