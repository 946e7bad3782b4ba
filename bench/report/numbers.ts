/**
 * What is kept of a whole set in the repository, and the table that README shows of it. The table is made from the kept
 * file alone, so that the two cannot disagree; a figure that is missing stands in it as FAIL.
 */
import type { BenchDocument, ContestRun, GrowthRun, Run, ScenarioRun } from './document.ts'
import { dearest, type DocumentJudgement, FLAT_WITHIN, purchaseUs, ratiosOf, refusalUs } from './judge.ts'
import { median, type Verdict } from './verdicts.ts'

export interface NumberRow {
  readonly what: string
  /** Null where it is missing. */
  readonly value: number | null
  /** Of the rounds; null where there is no such thing. */
  readonly lowest: number | null
  readonly bar: string
  readonly verdict: Verdict['verdict']
}

export interface Numbers {
  readonly at: string
  readonly commit: string
  readonly machine: string
  readonly verdict: DocumentJudgement['verdict']
  readonly rows: readonly NumberRow[]
}

/** @param wanted steps of a whole set: one without a run has a row that says so. */
export function numbersOf(document: BenchDocument, judgement: DocumentJudgement, wanted: readonly string[]): Numbers {
  const { at, commit, machine, programs, runs } = document
  const missing = wanted.filter((step) => !runs.some((run) => run.step === step)).map((step) => absent(step))
  const where = `${machine['cpu']}, ${machine['cores']} cores, Node ${programs['node']}, Redis ${programs['redis']}`
  const rows = [...missing, ...scenarioRows(runs, judgement), ...runs.flatMap((run) => rowsOf(run, judgement))]
  const isWhole = missing.length === 0 && rows.every(({ verdict }) => verdict !== 'FAIL')
  return { at, commit, machine: where, verdict: isWhole ? judgement.verdict : 'FAIL', rows }
}

function absent(step: string): NumberRow {
  return { what: `${step}: no run`, value: null, lowest: null, bar: '', verdict: 'FAIL' }
}

/** One row for all: what each promises is the same. */
function scenarioRows(runs: readonly Run[], judgement: DocumentJudgement): NumberRow[] {
  const scenarios = runs.filter((run): run is ScenarioRun => run.kind === 'scenario')
  if (scenarios.length === 0) return []
  const kept = scenarios.filter(({ id }) => judgement.runs.get(id)?.verdict !== 'FAIL').length
  const all: NumberRow = {
    what: 'scenarios in which every promise held, each buyer and order counted',
    value: kept,
    lowest: null,
    bar: `= ${scenarios.length}`,
    verdict: kept === scenarios.length ? 'PASS' : 'FAIL',
  }
  return [all, ...deathRows(scenarios.filter(({ step }) => step === 'node-death'))]
}

const DEATH_FIGURES = ['until it was declared dead', 'until others had sold all of its share']

/** The worst of all deaths: the figures are times. */
function deathRows(deaths: readonly ScenarioRun[]): NumberRow[] {
  if (deaths.length === 0) return []
  return DEATH_FIGURES.map((name) => {
    const values = deaths.map(({ figures }) => figures.find((figure) => figure.name === name)?.value ?? null)
    const value = values.some((one) => one === null) ? null : Math.max(...values.map(Number))
    const what = `kill -9 of a node, ${name}: the worst of ${deaths.length}, ms`
    return { what, value, lowest: null, bar: '', verdict: value === null ? 'FAIL' : 'INFO' }
  })
}

function rowsOf(run: Run, judgement: DocumentJudgement): NumberRow[] {
  const isFailed = judgement.runs.get(run.id)?.verdict === 'FAIL'
  const rows = plainRows(run)
  // Each bar was judged by itself: one that failed leaves the others as they are.
  return isFailed && run.kind !== 'bars' ? rows.map((row) => ({ ...row, verdict: 'FAIL' })) : rows
}

function plainRows(run: Run): NumberRow[] {
  switch (run.kind) {
    case 'contest':
      return contestRows(run)
    case 'growth':
      return growthRows(run)
    case 'bars':
      return run.verdicts
        .filter(({ bar, verdict }) => bar !== '' || verdict === 'FAIL')
        .map(({ name, value, lowest, bar, verdict }) => ({ what: name, value, lowest, bar, verdict }))
    case 'scenario':
    case 'defects':
    case 'micro':
      return []
  }
}

function contestRows(run: ContestRun): NumberRow[] {
  return run.bars.map(({ against, atLeast }) => {
    const ratios = ratiosOf(run, against)
    const value = ratios.length === run.rounds && ratios.length > 0 ? median(ratios) : null
    const what = `${run.title.toLowerCase()}: ${run.reference} against ${against}`
    const verdict = value === null ? 'FAIL' : value >= atLeast ? 'PASS' : 'NOT REACHED'
    return { what, value, lowest: value === null ? null : Math.min(...ratios), bar: `>= ${atLeast}`, verdict }
  })
}

function growthRows({ axis, points, wanted }: GrowthRun): NumberRow[] {
  return Object.entries({ purchase: purchaseUs, refusal: refusalUs }).map(([thing, costUs]) => {
    const { x, times } = dearest(points, costUs)
    const value = points.length === wanted.length && Number.isFinite(times) ? times : null
    const what = `CPU per ${thing}, at most, from ${wanted[0]} to ${wanted.at(-1)} ${axis}, times (at ${x})`
    const most = 1 + FLAT_WITHIN
    const verdict = value === null ? 'FAIL' : value <= most ? 'PASS' : 'NOT REACHED'
    return { what, value, lowest: null, bar: `<= ${most}`, verdict }
  })
}

const SAID = { PASS: 'yes', 'NOT REACHED': 'no', FAIL: 'FAIL', INFO: '' } as const

/** Markdown, between the marks of README. */
export function tableText(numbers: Numbers | null): string {
  if (numbers === null) {
    return 'No result of a whole run is kept here yet: `npm run bench`, then `npm run bench -- table DIR`.\n'
  }
  const { at, commit, machine, verdict, rows } = numbers
  const lines = rows.map(({ what, value, lowest, bar, verdict: reached }) => {
    const cells = [what, value === null ? 'missing' : digits(value), lowest === null ? '' : digits(lowest)]
    return `| ${[...cells, bar, SAID[reached]].map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return [
    `Commit \`${commit.slice(0, 12)}\`${commit.includes('changed') ? ' (changed)' : ''}, ${at.slice(0, 10)}, ${machine}: ${verdict}.`,
    '',
    '| what | median | lowest | bar | reached |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n')
}

function digits(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)))
}

const BEGIN = '<!-- numbers: made by `npm run bench -- table`, not by hand -->'
const END = '<!-- end of numbers -->'

/** README with that table in its place; throws when the marks are not there. */
export function withTable(readme: string, numbers: Numbers | null): string {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  if (begin === -1 || end < begin) throw new Error(`README has no place for the table: ${BEGIN} … ${END}`)
  return `${readme.slice(0, begin)}${BEGIN}\n\n<!-- prettier-ignore-start -->\n\n${tableText(numbers)}\n<!-- prettier-ignore-end -->\n\n${readme.slice(end)}`
}
