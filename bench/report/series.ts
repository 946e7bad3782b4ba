/** What a run looked like over time: from the buyers' records and from the samples to lines of a chart. */
import type { Attempt, Outcome } from './attempts.ts'
import { percentile } from './percentile.ts'
import type { NodePoint, SamplePoint, Samples } from './samples.ts'

/** One chart's worth: a value, or none, of every line at every x. */
export interface Series {
  /** Seconds since the run began. */
  readonly x: readonly number[]
  readonly lines: readonly { readonly name: string; readonly values: readonly (number | null)[] }[]
}

const OUTCOME_NAMES: Readonly<Record<Outcome, string>> = {
  won: 'won a ticket',
  replayed: 'heard of their order again',
  refused: 'refused',
  again: 'asked to try again, or no answer',
  unexpected: 'unexpected',
}

/** Most points of a line. */
const POINTS_MAX = 120
const STEPS_MS = [100, 200, 250, 500, 1000, 2000, 5000, 10_000, 30_000]

/** The shortest round interval that does not make too many points. */
export function bucketMs(durationMs: number): number {
  return STEPS_MS.find((step) => durationMs / step <= POINTS_MAX) ?? 60_000
}

interface Bucketed {
  readonly x: number[]
  /** Answers by the interval in which they came. */
  readonly buckets: Attempt[][]
  readonly stepMs: number
}

function bucketed(attempts: readonly Attempt[], startedAtMs: number): Bucketed {
  const lastMs = attempts.reduce((max, { answeredMs }) => Math.max(max, answeredMs), startedAtMs)
  const stepMs = bucketMs(lastMs - startedAtMs)
  const firstMs = attempts.reduce((min, { sentMs }) => Math.min(min, sentMs), lastMs)
  const first = Math.max(0, Math.floor((firstMs - startedAtMs) / stepMs) - 1)
  const count = Math.floor((lastMs - startedAtMs) / stepMs) + 1 - first
  const buckets: Attempt[][] = Array.from({ length: count }, () => [])
  for (const one of attempts) buckets[Math.floor((one.answeredMs - startedAtMs) / stepMs) - first]?.push(one)
  return { x: buckets.map((_, n) => ((first + n) * stepMs) / 1000), buckets, stepMs }
}

/** Answers a second, by what they meant. */
export function answerRates(attempts: readonly Attempt[], startedAtMs: number): Series {
  const { x, buckets, stepMs } = bucketed(attempts, startedAtMs)
  const present = new Set(attempts.map(({ outcome }) => outcome))
  const lines = (Object.keys(OUTCOME_NAMES) as Outcome[])
    .filter((outcome) => present.has(outcome))
    .map((outcome) => ({
      name: OUTCOME_NAMES[outcome],
      values: buckets.map((bucket) => (bucket.filter((one) => one.outcome === outcome).length * 1000) / stepMs),
    }))
  return { x, lines }
}

/** How long answers took, by what they meant and when they came. */
export function answerTimes(attempts: readonly Attempt[], startedAtMs: number): Series {
  const { x, buckets } = bucketed(attempts, startedAtMs)
  const kinds: readonly { readonly name: string; readonly outcomes: readonly Outcome[] }[] = [
    { name: 'order', outcomes: ['won', 'replayed'] },
    { name: 'refusal', outcomes: ['refused'] },
  ]
  const lines = kinds.flatMap(({ name, outcomes }) => {
    if (!attempts.some(({ outcome }) => outcomes.includes(outcome))) return []
    const times = buckets.map((bucket) =>
      bucket
        .filter(({ outcome }) => outcomes.includes(outcome))
        .map(({ sentMs, answeredMs }) => answeredMs - sentMs)
        .toSorted((a, b) => a - b),
    )
    return [0.5, 0.95, 0.99].map((share) => ({
      name: `${name}, p${share * 100}`,
      values: times.map((ascending) => percentile(ascending, share)),
    }))
  })
  return { x, lines }
}

/** From shortly before the first buyer came: what was before is the load tool's own beginning. */
export function sinceFirstBuyer(samples: Samples, attempts: readonly Attempt[], startedAtMs: number): Samples {
  const firstMs = attempts.reduce((min, { sentMs }) => Math.min(min, sentMs), Number.POSITIVE_INFINITY) - startedAtMs
  if (!Number.isFinite(firstMs)) return samples
  return { ...samples, points: samples.points.filter(({ atMs }) => atMs >= firstMs - 2 * samples.intervalMs) }
}

export function remainingOf({ points }: Samples): Series {
  return {
    x: secondsOf(points),
    lines: [{ name: 'tickets remaining', values: points.map(({ remaining }) => remaining) }],
  }
}

/** Tickets a second by the node that sold them. */
export function nodeShares(samples: Samples): Series {
  const ids = Object.keys(samples.points[0]?.nodes ?? {})
  const lines = ids.map((id) => ({ name: id, values: ratesOf(samples, id, ({ outcomes }) => outcomes['won'] ?? 0) }))
  return { x: secondsOf(samples.points), lines }
}

/** Purchases in a confirm call, all nodes together. */
export function batchSizes(samples: Samples): Series {
  const items = totalRates(samples, ({ batchItems }) => batchItems)
  const calls = totalRates(samples, ({ confirmCalls }) => confirmCalls)
  return {
    x: secondsOf(samples.points),
    lines: [{ name: 'purchases per confirm call', values: divided(items, calls) }],
  }
}

/** What reaches Redis: script calls a second of every kind, and confirm calls per ticket. */
export function storeCalls(samples: Samples): Series {
  const { points } = samples
  const calls = points.map((point, n) => rate(point.store?.calls, points[n - 1]?.store?.calls, point, points[n - 1]))
  return { x: secondsOf(points), lines: [{ name: 'script calls per second, heartbeats included', values: calls }] }
}

export function callsPerTicket(samples: Samples): Series {
  const won = totalRates(samples, ({ outcomes }) => outcomes['won'] ?? 0)
  const calls = totalRates(samples, ({ confirmCalls }) => confirmCalls)
  return { x: secondsOf(samples.points), lines: [{ name: 'confirm calls per ticket', values: divided(calls, won) }] }
}

function secondsOf(points: readonly SamplePoint[]): number[] {
  return points.map(({ atMs }) => atMs / 1000)
}

function ratesOf({ points }: Samples, id: string, read: (point: NodePoint) => number): (number | null)[] {
  return points.map((point, n) => {
    const [now, before] = [point.nodes[id], points[n - 1]?.nodes[id]]
    if (!now || !before) return null
    return rate(read(now), read(before), point, points[n - 1])
  })
}

function rate(
  now: number | undefined,
  before: number | undefined,
  at: SamplePoint,
  earlier: SamplePoint | undefined,
): number | null {
  if (now === undefined || before === undefined || earlier === undefined || at.atMs === earlier.atMs) return null
  // A counter that fell began anew with its process.
  const growth = now >= before ? now - before : now
  return (growth * 1000) / (at.atMs - earlier.atMs)
}

function totalRates(samples: Samples, read: (point: NodePoint) => number): (number | null)[] {
  const ids = Object.keys(samples.points[0]?.nodes ?? {})
  const perNode = ids.map((id) => ratesOf(samples, id, read))
  return samples.points.map((_, n) => {
    const values = perNode.flatMap((line) => line[n] ?? [])
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0)
  })
}

function divided(a: readonly (number | null)[], b: readonly (number | null)[]): (number | null)[] {
  return a.map((value, n) => {
    const by = b[n]
    return value === null || !by ? null : value / by
  })
}
