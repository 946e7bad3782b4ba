/** The death of a node in numbers. */
import type { Run, ScenarioRun } from '../document.ts'
import { median } from '../verdicts.ts'
import { badge, type Cell, table } from './html.ts'

/** Deaths side by side: one says little. */
export function deathsHtml(runs: readonly Run[], verdictOf: (run: Run) => string): string {
  const deaths = runs.filter((run): run is ScenarioRun => run.kind === 'scenario' && run.step === 'node-death')
  if (deaths.length === 0) return ''
  const names = [...new Set(deaths.flatMap(({ figures }) => figures.map(({ name }) => name)))]
  const numberColumns = ['median', 'worst', ...deaths.map((_, n) => `death ${n + 1}`)].map((head) => ({
    head,
    isNumber: true,
  }))
  const stranded = deaths.map(({ expectation, figures }) => {
    const stock = Object.values(expectation.stock).reduce((sum, one) => sum + one, 0)
    const sold = figures.find(({ name }) => name === 'tickets with buyers')?.value ?? Number.NaN
    return { stranded: Math.max(0, Math.min(stock, expectation.buyers) - sold), oversold: Math.max(0, sold - stock) }
  })
  const rows: Cell[][] = [
    ['verdict of the run', '', '', ...deaths.map((run) => ({ html: badge(verdictOf(run)) }))],
    row(
      'tickets stranded',
      '',
      stranded.map((one) => one.stranded),
    ),
    row(
      'tickets oversold',
      '',
      stranded.map((one) => one.oversold),
    ),
    ...names
      .filter((name) => /dead|weight had left|share|failed|of these/.test(name))
      .map((name) => {
        const unit = deaths[0]?.figures.find((figure) => figure.name === name)?.unit ?? ''
        const absent = name.startsWith('of these') ? 0 : null
        return row(
          name,
          unit === 'requests' ? '' : unit,
          deaths.map(({ figures }) => figures.find((figure) => figure.name === name)?.value ?? absent),
        )
      }),
  ]
  return `<h2 id="deaths">The death of a node, in numbers</h2><p>kill -9 of one node when half of the tickets are gone, ${deaths.length === 1 ? 'once' : `${deaths.length} times`}. Details under Scenarios.</p>${table([{ head: '' }, ...numberColumns], rows)}`
}

function row(name: string, unit: string, values: readonly (number | null)[]): Cell[] {
  const known = values.filter((value) => value !== null)
  const isWhole = known.length === values.length && known.every(Number.isFinite)
  return [
    `${name}${unit === '' ? '' : `, ${unit}`}`,
    isWhole ? median(known) : null,
    isWhole ? Math.max(...known) : null,
    ...values,
  ]
}
