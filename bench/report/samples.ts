/** What the processes said of themselves, at even intervals through a run; and whether anything is missing in it. */

export interface NodePoint {
  /** Counted since the node started. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly confirmCalls: number
  /** Purchases sent in those calls. */
  readonly batchItems: number
  readonly cpuMs: number
}

export interface SamplePoint {
  /** The first is 0; none is left out. */
  readonly index: number
  /** Since the run began. */
  readonly atMs: number
  /** Null: no answer. */
  readonly nodes: Readonly<Record<string, NodePoint | null>>
  /** Tickets nobody holds, by the store's own counter, all fares together. */
  readonly remaining: number | null
  /** Script calls that Redis carried out, and its CPU time. */
  readonly store: { readonly calls: number; readonly cpuMs: number } | null
}

export interface Samples {
  readonly intervalMs: number
  /** How many there must be. */
  readonly wanted: number
  readonly points: readonly SamplePoint[]
}

/** When a process need not answer, because the run killed it or has it restarted. */
export interface Excuse {
  readonly node: string
  readonly fromMs: number
  /** Null: to the end. */
  readonly toMs: number | null
}

/** Missing data is a fault: what was not seen may have been anything. */
export function sampleFaults(samples: Samples | null, excuses: readonly Excuse[]): string[] {
  if (samples === null || samples.wanted === 0) return ['no samples were taken']
  const { wanted, points, intervalMs } = samples
  const present = new Set(points.map(({ index }) => index))
  const missing = Array.from({ length: wanted }, (_, index) => index).filter((index) => !present.has(index))
  const faults =
    missing.length === 0 ? [] : [`MISSING SAMPLE: ${missing.length} of ${wanted}, first number ${missing[0]}`]
  const gaps = points.flatMap((point) => gapsOf(point, intervalMs, excuses))
  if (gaps.length > 0) faults.push(`MISSING DATA in ${gaps.length} samples, first: ${gaps[0]}`)
  return faults
}

function gapsOf(
  { atMs, nodes, remaining, store }: SamplePoint,
  intervalMs: number,
  excuses: readonly Excuse[],
): string[] {
  const at = `at ${(atMs / 1000).toFixed(1)} s`
  const isExcused = (id: string): boolean =>
    excuses.some(
      ({ node, fromMs, toMs }) =>
        node === id && atMs >= fromMs - intervalMs && (toMs === null || atMs <= toMs + intervalMs),
    )
  const gaps = Object.entries(nodes)
    .filter(([id, point]) => !isExcused(id) && (point === null || !isWhole(point)))
    .map(([id]) => `node ${id} ${at}`)
  if (Object.keys(nodes).length === 0) gaps.push(`every node ${at}`)
  if (remaining === null || !Number.isFinite(remaining)) gaps.push(`remaining ${at}`)
  if (store === null || !Number.isFinite(store.calls)) gaps.push(`Redis ${at}`)
  return gaps
}

function isWhole({ outcomes, confirmCalls, batchItems, cpuMs }: NodePoint): boolean {
  return Object.keys(outcomes).length > 0 && [confirmCalls, batchItems, cpuMs].every(Number.isFinite)
}
