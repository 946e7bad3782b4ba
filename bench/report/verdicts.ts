/**
 * From samples to a verdict, without I/O.
 *
 * A sample that is missing or invalid is never a pass: its bar is FAIL, and the run ends with an error. A bar that the
 * measured figure does not reach is NOT REACHED: a finding, and an error only when asked for.
 */

export interface Sample {
  /** Tickets, or refusals, a second. */
  readonly perSecond: number
  /** What makes it worthless; empty when all is well. */
  readonly faults: readonly string[]
}

export interface Pair {
  readonly ours: Sample | null
  readonly theirs: Sample | null
}

export interface Bar {
  readonly name: string
  readonly atLeast?: number
  readonly atMost?: number
}

export interface Verdict {
  readonly name: string
  readonly verdict: 'PASS' | 'NOT REACHED' | 'FAIL' | 'INFO'
  /** Null when it could not be measured. */
  readonly value: number | null
  /** The lowest pair, for ratios. */
  readonly lowest: number | null
  readonly bar: string
  readonly faults: readonly string[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle]
  if (upper === undefined) return Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The bar applies to the median of the ratios within pairs. */
export function judgePairs(bar: Bar, pairs: readonly Pair[], wantedPairs: number): Verdict {
  const faults = pairs.flatMap((pair, at) => pairFaults(pair).map((fault) => `pair ${at + 1}: ${fault}`))
  if (pairs.length < wantedPairs) faults.push(`${pairs.length} pairs of ${wantedPairs}`)
  const ratios = pairs.map(({ ours, theirs }) => (ours?.perSecond ?? Number.NaN) / (theirs?.perSecond ?? Number.NaN))
  return {
    ...judgeValue(bar, median(ratios), faults),
    lowest: Number.isNaN(median(ratios)) ? null : Math.min(...ratios),
  }
}

function pairFaults({ ours, theirs }: Pair): string[] {
  return [ours, theirs].flatMap((sample) => {
    if (sample === null) return ['a sample is missing']
    const isNumber = Number.isFinite(sample.perSecond) && sample.perSecond > 0
    return isNumber ? [...sample.faults] : ['a sample has no figure', ...sample.faults]
  })
}

export function judgeValue(bar: Bar, value: number | null, faults: readonly string[] = []): Verdict {
  const { name, atLeast, atMost } = bar
  const isMissing = value === null || !Number.isFinite(value)
  const all = isMissing ? ['no figure', ...faults] : [...faults]
  const isReached = !isMissing && value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity)
  const isInfo = atLeast === undefined && atMost === undefined
  return {
    name,
    verdict: all.length > 0 ? 'FAIL' : isInfo ? 'INFO' : isReached ? 'PASS' : 'NOT REACHED',
    value: isMissing ? null : value,
    lowest: null,
    bar: barText(bar),
    faults: all,
  }
}

function barText({ atLeast, atMost }: Bar): string {
  if (atLeast === undefined) return atMost === undefined ? '' : `<= ${atMost}`
  if (atMost === undefined) return `>= ${atLeast}`
  return atLeast === atMost ? `= ${atLeast}` : `${atLeast}..${atMost}`
}

/** No verdicts at all is a failure too. */
export function exitCode(verdicts: readonly Verdict[], isStrict: boolean): number {
  if (verdicts.length === 0 || verdicts.some(({ verdict }) => verdict === 'FAIL')) return 1
  return isStrict && verdicts.some(({ verdict }) => verdict === 'NOT REACHED') ? 1 : 0
}

function shown(value: number | null): string {
  return value === null ? '-' : value.toPrecision(3)
}

export function verdictLines(verdicts: readonly Verdict[]): string[] {
  return verdicts.flatMap(({ name, verdict, value, lowest, bar, faults }) => [
    `${verdict.padEnd(11)}  ${shown(value).padStart(8)}  ${(lowest === null ? '' : `lowest ${shown(lowest)}`).padEnd(13)}  ${bar.padEnd(8)}  ${name}`,
    ...faults.map((fault) => `             ${fault}`),
  ])
}
