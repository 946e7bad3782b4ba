import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EventQueue } from './event-queue.ts'
import { adviseBuffer, coveringBuffer, forecast, type Scene } from '../plan/buffer.ts'
import { rehearse, rehearseMany } from './rehearse.ts'
import { SETTINGS } from './settings.ts'

const SEEDS = 100

const QUIET: Scene = {
  stock: 10_000,
  nodes: 4,
  kill: 1,
  ratePerSecond: 1000,
  roundTripMs: 5,
  deadAfterMs: 1500,
  heartbeatMs: 250,
  skew: 1,
  limitPerBuyer: 2,
  buffer: { percent: 10 },
  remainingAtDeath: null,
}

describe('the formula', () => {
  const results = SETTINGS.map((scene) => {
    const computed = forecast(scene)
    return { scene, computed, tried: rehearseMany(scene, computed.remainingAtDeath, SEEDS) }
  })

  it('is published with fifty settings', async () => {
    expect(SETTINGS).toHaveLength(50)
    expect(new Set(SETTINGS.map((scene) => JSON.stringify(scene))).size).toBe(50)
    await expect(tableOf(results)).toMatchFileSnapshot(join(import.meta.dirname, '../../docs/planner.md'))
  })

  it.each(results.map((result) => [nameOf(result.scene), result] as const))(
    'is within 20 % or 10 ms of the median of 100 seeds: %s',
    (_name, { computed, tried }) => {
      const bar = Math.max(10, 0.2 * tried.delayMs)
      expect(Math.abs(computed.delayMs - tried.delayMs)).toBeLessThanOrEqual(bar)
    },
  )

  it('says something: where the trial shows a delay of a tenth of a second or more, so does the formula', () => {
    const slow = results.filter(({ tried }) => tried.delayMs >= 100)
    expect(slow.length).toBeGreaterThan(8)
    for (const { computed } of slow) expect(computed.delayMs).toBeGreaterThan(50)
  })

  it('shows that a buffer shortens a delay, and that a dead node costs nothing while nobody is bound', () => {
    const busy: Scene = { ...QUIET, kill: 3, ratePerSecond: 5000, roundTripMs: 20 }
    const delays = [1, 4, 16, 64].map((tickets) => forecast({ ...busy, buffer: { tickets } }).delayMs)
    expect(delays.toSorted((a, b) => b - a)).toEqual(delays)
    expect(delays[0]).toBeGreaterThan(10 * (delays[3] ?? 0))
    const recommended = adviseBuffer(busy).recommended
    expect(forecast({ ...busy, buffer: { tickets: recommended } }).delayMs).toBeLessThan(20)
    expect(rehearse({ ...busy, buffer: { tickets: recommended } }, 400, 1).delayMs).toBeLessThan(50)
    expect(forecast({ ...QUIET, ratePerSecond: 100 }).delayMs).toBe(0)
  })

  it('bounds the delay by the time in which a death is seen', () => {
    const slow: Scene = { ...QUIET, nodes: 4, kill: 3, ratePerSecond: 4000, roundTripMs: 100, buffer: { tickets: 1 } }
    expect(forecast(slow).delayMs).toBeGreaterThan(1000)
    expect(forecast({ ...slow, deadAfterMs: 300, heartbeatMs: 100 }).delayMs).toBeLessThan(500)
  })
})

describe('the buffer that makes the survivors’ quotas add up to the stock', () => {
  it('is 6 for five dead of a hundred: with 5, 95 x 105 = 9,975 < 10,000', () => {
    const stock = 10_000
    const [nodes, fairShare] = [100, 100]
    expect(95 * (fairShare + 5)).toBe(9975)
    expect(95 * (fairShare + 5)).toBeLessThan(stock)
    // Five tickets cover four dead nodes, not the five that were claimed.
    expect(coveringBuffer(fairShare, nodes, 4)).toBe(5)
    expect(coveringBuffer(fairShare, nodes, 5)).toBe(6)
    expect(95 * (fairShare + 6)).toBeGreaterThanOrEqual(stock)
  })

  it('is the smallest that does', () => {
    for (const [share, nodes, kill] of [
      [100, 100, 5],
      [2500, 4, 1],
      [7, 20, 13],
      [1, 2, 1],
    ] as const) {
      const buffer = coveringBuffer(share, nodes, kill)
      expect((nodes - kill) * (share + buffer)).toBeGreaterThanOrEqual(nodes * share)
      expect((nodes - kill) * (share + buffer - 1)).toBeLessThan(nodes * share)
    }
  })
})

describe('the trial', () => {
  it('is the same for the same seed, and another for another', () => {
    const scene = SETTINGS[20] ?? QUIET
    expect(rehearse(scene, 200, 7)).toEqual(rehearse(scene, 200, 7))
    const delays = [1, 2, 3, 4, 5].map((seed) => rehearse(scene, 200, seed).delayMs)
    expect(new Set(delays).size).toBeGreaterThan(1)
  })

  it('takes what happens in order of time, and of arrival at one time', () => {
    const queue = new EventQueue<string>()
    for (const [atMs, what] of [
      [5, 'e'],
      [1, 'a'],
      [3, 'c'],
      [1, 'b'],
      [4, 'd'],
    ] as const)
      queue.add(atMs, what)
    const order: string[] = []
    for (let next = queue.take(); next !== null; next = queue.take()) order.push(next.what)
    expect(order.join('')).toBe('abcde')
  })
})

function nameOf(scene: Scene): string {
  const { nodes, kill, ratePerSecond, roundTripMs, skew, deadAfterMs } = scene
  return `${kill} of ${nodes}, ${ratePerSecond}/s, ${roundTripMs} ms, skew ${skew}, ${bufferText(scene)}, ${deadAfterMs} ms`
}

function bufferText({ buffer }: Scene): string {
  return 'tickets' in buffer ? `${buffer.tickets}` : `${buffer.percent}%`
}

function tableOf(
  results: readonly { scene: Scene; computed: ReturnType<typeof forecast>; tried: ReturnType<typeof rehearseMany> }[],
): string {
  const head = [
    'nodes',
    'killed',
    'buyers/s',
    'round trip ms',
    'dead after ms',
    'skew',
    'buffer',
    'left at death',
    'delay ms, formula',
    'delay ms, tried',
    'wasted, formula',
    'wasted, tried',
  ]
  const rows = results.map(({ scene, computed, tried }) => [
    scene.nodes,
    scene.kill,
    scene.ratePerSecond,
    scene.roundTripMs,
    scene.deadAfterMs,
    scene.skew,
    bufferText(scene),
    computed.remainingAtDeath,
    computed.delayMs.toFixed(0),
    tried.delayMs.toFixed(0),
    computed.wastedConfirms.toFixed(0),
    tried.wastedConfirms.toFixed(0),
  ])
  return [
    '# What a death costs: the formula and the trial',
    '',
    'Written by the tests of `coordinator/rehearse/`. The formula stands, with its source, in `coordinator/plan/buffer.ts`;',
    `the trial is the median of ${SEEDS} seeds of a simulation with the nodes' real quotas and the store's real levels. The`,
    'delay is how much later the last ticket is held because nodes died at the worst moment; the wasted confirms are',
    'those of a sale without deaths. `farebox plan` computes and tries the same for your own numbers.',
    '',
    'Every run of `npm test` computes and tries all of it again, and is red where a single figure differs, or where a',
    'formula is further from its trial than the larger of 20 % and 10 ms. So the table is that of the commit it is read in;',
    'last looked at by hand on 2026-11-22, at c986456.',
    '',
    `| ${head.join(' | ')} |`,
    `| ${head.map(() => '---').join(' | ')} |`,
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n')
}
