/**
 * From what a set of runs left behind to a verdict, without I/O.
 *
 * FAIL: a promise was broken, or something is missing, so that nobody can say. NOT REACHED: everything is right and a
 * figure is worse than hoped for. A run that failed stays in the document with its reasons.
 */
import type { Attempt, StoredOrder } from './attempts.ts'
import { buyerFaults, storeFaults, ticketsByFare, ordersTold } from './buyer-faults.ts'
import type {
  AuditReport,
  BenchDocument,
  ContestRun,
  DefectRun,
  Figure,
  GrowthPoint,
  GrowthRun,
  K6Report,
  Run,
  ScenarioRun,
} from './document.ts'
import { median, type Verdict } from './verdicts.ts'
import { sampleFaults } from './samples.ts'

/** The long records of a run; null where they are not there. */
export interface Evidence {
  readonly attempts: readonly Attempt[] | null
  readonly orders: readonly StoredOrder[] | null
}

export interface Judgement {
  readonly verdict: 'PASS' | 'NOT REACHED' | 'FAIL'
  /** Why not PASS; of a failed run every fault. */
  readonly reasons: readonly string[]
}

export interface DocumentJudgement extends Judgement {
  /** By id of the run. */
  readonly runs: ReadonlyMap<string, Judgement>
}

export function judgeDocument(document: BenchDocument, evidenceOf: (run: Run) => Evidence): DocumentJudgement {
  const runs = new Map(document.runs.map((run) => [run.id, judgeRun(run, evidenceOf(run))]))
  const missing = document.chosen.filter((step) => !document.runs.some((run) => run.step === step))
  const reasons = [
    ...(document.runs.length === 0 ? ['no run at all'] : []),
    ...(runs.size < document.runs.length ? ['two runs have the same id'] : []),
    ...missing.map((step) => `${step}: chosen, but there is no run of it${whyMissing(document, step)}`),
    ...[...runs].flatMap(([id, { verdict, reasons: why }]) =>
      verdict === 'PASS' ? [] : [`${id}: ${verdict}: ${why[0] ?? 'no reason given'}${why.length > 1 ? ' …' : ''}`],
    ),
  ]
  const verdicts = [...runs.values()].map(({ verdict }) => verdict)
  const isWhole = document.runs.length > 0 && runs.size === document.runs.length && missing.length === 0
  if (!isWhole || verdicts.includes('FAIL')) return { verdict: 'FAIL', reasons, runs }
  return { verdict: verdicts.includes('NOT REACHED') ? 'NOT REACHED' : 'PASS', reasons, runs }
}

function whyMissing({ broken }: BenchDocument, step: string): string {
  const why = broken?.[step]
  return why === undefined ? '' : `: ${why}`
}

export function judgeRun(run: Run, evidence: Evidence): Judgement {
  const { faults, missed } = findingsOf(run, evidence)
  const all = run.error === null ? faults : [`it broke off: ${run.error}`, ...faults]
  if (all.length > 0) return { verdict: 'FAIL', reasons: all }
  return missed.length > 0 ? { verdict: 'NOT REACHED', reasons: missed } : { verdict: 'PASS', reasons: [] }
}

interface Findings {
  readonly faults: readonly string[]
  readonly missed: readonly string[]
}

function findingsOf(run: Run, evidence: Evidence): Findings {
  switch (run.kind) {
    case 'scenario':
      return judgeScenario(run, evidence)
    case 'contest':
      return judgeContest(run)
    case 'defects':
      return { faults: defectFaults(run), missed: [] }
    case 'growth':
      return { faults: growthFaults(run), missed: growthMissed(run) }
    case 'micro': {
      const faults = run.answers.flatMap(({ question, task, fault, medianNs }) =>
        fault !== null || medianNs === null ? [`${question}, ${task}: ${fault ?? 'no figure'}`] : [],
      )
      return { faults: run.answers.length === 0 ? ['no question was answered'] : faults, missed: [] }
    }
    case 'bars':
      return barFindings(run.verdicts)
  }
}

function judgeScenario(run: ScenarioRun, { attempts, orders }: Evidence): Findings {
  const faults = [
    ...droppedFaults(run.k6),
    ...(attempts === null || attempts.length === 0 ? ["the buyers' records are missing"] : []),
    ...(attempts === null ? [] : buyerFaults(attempts, run.expectation)),
    ...(attempts === null ? [] : storeFaults(attempts, orders, run.expectation)),
    ...auditFaults(run.audit, attempts ?? [], run.expectation.ticketsReturn),
    ...k6Faults(run.k6),
    ...sampleFaults(run.samples, run.excuses),
    ...figureFaults(run.figures),
  ]
  return { faults, missed: (run.k6?.crossedLatencies ?? []).map((name) => `slower than hoped for: ${name}`) }
}

function auditFaults(audit: AuditReport | null, attempts: readonly Attempt[], ticketsReturn: boolean): string[] {
  if (audit === null) return ['there was no audit']
  const faults = audit.problems.map(({ rule, witness }) => `audit: ${rule}: ${witness}`)
  if (!audit.ok && faults.length === 0) faults.push('the audit is not content, and names no problem')
  if (audit.fares.length === 0) faults.push('the audit names no fare')
  const told = ticketsByFare(ordersTold(attempts))
  for (const { id, held, paid } of ticketsReturn ? [] : audit.fares) {
    const tickets = told.get(id) ?? 0
    if (tickets !== held + paid) faults.push(`${id}: buyers have ${tickets} tickets, the audit counts ${held + paid}`)
  }
  return faults
}

/** First of all reasons, since others follow from it: buyers who never came left no record either. */
function droppedFaults(k6: K6Report | null): string[] {
  const dropped = k6?.droppedIterations ?? 0
  if (dropped === 0) return []
  return [
    `INVALID: k6 dropped ${dropped} arrivals: too many buyers waited at once, or it had too little of the machine to send them. Says nothing of the promises; what follows may come from it`,
  ]
}

function k6Faults(k6: K6Report | null): string[] {
  if (k6 === null) return ['k6 left no summary']
  const faults = k6.crossedInvariants.map((name) => `threshold crossed: ${name}`)
  if (k6.droppedIterations === null) faults.push('k6 did not say how many arrivals it dropped')
  const isExplained = faults.length > 0 || k6.crossedLatencies.length > 0 || k6.droppedIterations !== 0
  if (k6.exitCode !== 0 && !isExplained) faults.push(`k6 ended with ${k6.exitCode}`)
  return faults
}

function figureFaults(figures: readonly Figure[]): string[] {
  return figures
    .filter(({ value }) => value === null || !Number.isFinite(value))
    .map(({ name }) => `MISSING FIGURE: ${name}`)
}

function judgeContest(run: ContestRun): Findings {
  const faults = run.contestants.flatMap(({ name }) => {
    const samples = run.samples.filter(({ contender }) => contender === name)
    const missing = Array.from({ length: run.rounds }, (_, round) => round).filter(
      (round) => !samples.some((sample) => sample.round === round),
    )
    return [
      ...missing.map((round) => `MISSING SAMPLE: ${name}, round ${round + 1}`),
      ...samples.flatMap(({ round, perSecond, p50Ms, faults: why }) => [
        ...(perSecond > 0 && Number.isFinite(perSecond + p50Ms) ? [] : [`${name}, round ${round + 1}: no figure`]),
        ...why.map((fault) => `${name}, round ${round + 1}: ${fault}`),
      ]),
    ]
  })
  if (run.rounds < 1 || run.contestants.length === 0) faults.push('nobody competed')
  const missed = run.bars.flatMap(({ against, atLeast }) => {
    const middle = median(ratiosOf(run, against))
    if (Number.isNaN(middle)) faults.push(`no ratio to ${against}`)
    return middle < atLeast ? [`${middle.toFixed(2)} times ${against}; the bar is ${atLeast}`] : []
  })
  return { faults, missed }
}

/** The reference's figure by another's, round by round. */
export function ratiosOf(run: ContestRun, contender: string): number[] {
  const of = (name: string, round: number): number =>
    run.samples.find((sample) => sample.contender === name && sample.round === round)?.perSecond ?? Number.NaN
  return Array.from({ length: run.rounds }, (_, round) => of(run.reference, round) / of(contender, round)).filter(
    Number.isFinite,
  )
}

/** A baseline's known defect is a finding; one that is not known is a fault, of the baseline or of the check. */
function defectFaults({ contenders, counts }: DefectRun): string[] {
  return contenders.flatMap(({ name, knownDefect }) => {
    const count = counts.find(({ contender }) => contender === name)
    if (count === undefined) return [`MISSING SAMPLE: ${name} was not counted`]
    const { oversold, stranded, notSoldAgain, unanswered } = count
    const broken = Object.entries({ oversold, stranded, notSoldAgain, unanswered }).filter(
      ([, tickets]) => tickets !== 0,
    )
    if (knownDefect !== null) return []
    return broken.map(([what, tickets]) => `${name}: ${what} ${tickets}, where nothing of the kind may be`)
  })
}

/** How much more a purchase may cost at the far end of an axis before it counts as growth. */
export const FLAT_WITHIN = 0.1

function growthFaults({ wanted, points }: GrowthRun): string[] {
  if (wanted.length === 0) return ['nothing was to be measured']
  return wanted.flatMap((x) => {
    const point = points.find((one) => one.x === x)
    if (point === undefined) return [`MISSING SAMPLE: at ${x}`]
    const { purchaseNodeUs, purchaseRedisUs, refusalNodeUs, refusalRedisUs, startMs, faults } = point
    const isWhole = [purchaseNodeUs, purchaseRedisUs, refusalNodeUs, refusalRedisUs, startMs].every(
      (value) => value !== null && Number.isFinite(value),
    )
    return [...(isWhole ? [] : [`a figure is missing at ${x}`]), ...faults.map((fault) => `at ${x}: ${fault}`)]
  })
}

function growthMissed(run: GrowthRun): string[] {
  const { points, axis } = run
  const first = points[0]
  if (first === undefined) return []
  return Object.entries({ purchase: purchaseUs, refusal: refusalUs }).flatMap(([what, costUs]) => {
    const { x, times } = dearest(points, costUs)
    if (times <= 1 + FLAT_WITHIN) return []
    const where = what === 'purchase' ? purchaseGrowth(run) : refusalGrowth(run)
    return [`a ${what} costs ${times.toFixed(2)} times as much at ${x} ${axis} as at ${first.x}: ${where}`]
  })
}

/** Where it costs most and at the first: each part, and how full batches were, which says what became dearer. */
export function purchaseGrowth({ points }: GrowthRun): string {
  return between(points, purchaseUs, [
    ['nodes', ({ purchaseNodeUs }) => purchaseNodeUs, ' µs'],
    ['Redis', ({ purchaseRedisUs }) => purchaseRedisUs, ' µs'],
    ['purchases per call', ({ purchasesPerCall }) => purchasesPerCall, ''],
  ])
}

export function refusalGrowth({ points }: GrowthRun): string {
  return between(points, refusalUs, [
    ['nodes', ({ refusalNodeUs }) => refusalNodeUs, ' µs'],
    ['Redis', ({ refusalRedisUs }) => refusalRedisUs, ' µs'],
  ])
}

type GrowthPart = readonly [name: string, read: (point: GrowthPoint) => number | null, unit: string]

function said(value: number | null | undefined): string {
  return value?.toPrecision(3) ?? 'missing'
}

function between(
  points: readonly GrowthPoint[],
  costUs: (point: GrowthPoint) => number,
  parts: readonly GrowthPart[],
): string {
  const first = points[0]
  const { x } = dearest(points, costUs)
  const most = points.find((point) => point.x === x)
  return parts
    .map(([name, read, unit]) => `${name} ${said(first && read(first))} to ${said(most && read(most))}${unit}`)
    .join(', ')
}

/** The point at which it costs most, and how many times what it costs at the first: a curve may also bend back. */
export function dearest(
  points: readonly GrowthPoint[],
  costUs: (point: GrowthPoint) => number,
): { readonly x: number; readonly times: number } {
  const [first, ...later] = points
  if (first === undefined) return { x: Number.NaN, times: Number.NaN }
  const costs = later.map((point) => ({ x: point.x, times: costUs(point) / costUs(first) }))
  return costs.reduce((most, cost) => (cost.times > most.times || Number.isNaN(cost.times) ? cost : most), {
    x: first.x,
    times: 1,
  })
}

export function purchaseUs({ purchaseNodeUs, purchaseRedisUs }: GrowthPoint): number {
  return (purchaseNodeUs ?? Number.NaN) + (purchaseRedisUs ?? Number.NaN)
}

export function refusalUs({ refusalNodeUs, refusalRedisUs }: GrowthPoint): number {
  return (refusalNodeUs ?? Number.NaN) + (refusalRedisUs ?? Number.NaN)
}

function barFindings(verdicts: readonly Verdict[]): Findings {
  const told = (wanted: Verdict['verdict']): string[] =>
    verdicts
      .filter(({ verdict }) => verdict === wanted)
      .map(({ name, value, bar, faults }) =>
        [`${name}: ${value?.toPrecision(3) ?? 'no figure'}`, bar, ...faults].join('; '),
      )
  const faults = verdicts.length === 0 ? ['no bar was judged'] : told('FAIL')
  return { faults, missed: told('NOT REACHED') }
}

/** A set that failed ends with an error; one that did not reach a bar only when that was asked for. */
export function exitCodeOf({ verdict }: Judgement, isStrict: boolean): number {
  return verdict === 'FAIL' || (isStrict && verdict === 'NOT REACHED') ? 1 : 0
}
