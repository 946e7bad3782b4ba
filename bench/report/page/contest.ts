/** Systems side by side under the same load, and what each of them miscounts. */
import type { ContestRun, DefectRun } from '../document.ts'
import { ratiosOf } from '../judge.ts'
import { median } from '../verdicts.ts'
import { type Cell, escape, shown, table } from './html.ts'

export function contestHtml(run: ContestRun): string {
  const rows = run.contestants
    .map(({ name, about }) => ({ name, about, rate: median(of(run, name).map(({ perSecond }) => perSecond)) }))
    .toSorted((a, b) => (b.rate || 0) - (a.rate || 0))
  const all = run.contestants.flatMap(({ name }) => ratiosOf(run, name))
  const scale = { low: Math.min(1, ...all) / 1.15, high: Math.max(1, ...all) * 1.15 }
  const columns = [
    { head: 'system' },
    { head: `${run.unit} a second, median`, isNumber: true },
    { head: 'lowest to highest', isNumber: true },
    { head: 'p50, ms', isNumber: true },
    { head: 'p99, ms', isNumber: true },
    { head: `${run.reference} is … times as fast`, isNumber: true },
    { head: 'lowest · median · highest of the rounds' },
  ]
  const bars = run.bars.map(({ against, atLeast }) => `at least ${atLeast} times ${against}`)
  return [
    table(
      columns,
      rows.map((row) => rowOf(run, row, scale)),
    ),
    bars.length === 0 ? '' : `<p class="quiet">Bars on the median: ${escape(bars.join('; '))}.</p>`,
  ].join('')
}

function of({ samples }: ContestRun, name: string): ContestRun['samples'] {
  return samples.filter(({ contender }) => contender === name)
}

function rowOf(
  run: ContestRun,
  { name, about, rate }: { name: string; about: string; rate: number },
  scale: { low: number; high: number },
): Cell[] {
  const samples = of(run, name)
  const rates = samples.map(({ perSecond }) => perSecond)
  const ratios = ratiosOf(run, name)
  const middle = (read: (sample: ContestRun['samples'][number]) => number): number | null => {
    const value = median(samples.map(read))
    return Number.isFinite(value) ? value : null
  }
  const isReference = name === run.reference
  return [
    { html: `<b>${escape(name)}</b><br><span class="quiet">${escape(about)}</span>` },
    Number.isFinite(rate) ? Math.round(rate) : null,
    rates.length === 0 ? null : `${shown(Math.round(Math.min(...rates)))} – ${shown(Math.round(Math.max(...rates)))}`,
    middle(({ p50Ms }) => p50Ms),
    middle(({ p99Ms }) => p99Ms),
    isReference ? '1' : ratios.length === 0 ? null : shown(Number(median(ratios).toPrecision(3))),
    isReference ? '' : { html: spread(ratios, scale) },
  ]
}

/** A bar from the lowest to the highest with a dot at the median, on a logarithmic scale with a line at 1. */
function spread(values: readonly number[], { low, high }: { low: number; high: number }): string {
  if (values.length === 0) return '<span class="missing">missing</span>'
  const x = (value: number): number => (Math.log(value / low) / Math.log(high / low)) * 100
  const [least, most, middle] = [x(Math.min(...values)), x(Math.max(...values)), x(median(values))]
  const title = `${shown(Math.min(...values))} · ${shown(median(values))} · ${shown(Math.max(...values))}`
  return `<svg class="spread" role="img" aria-label="${escape(title)}"><title>${escape(title)}</title>${lineSvg(
    x(1),
    x(1),
    'y1="0" y2="100%"',
    '--muted',
    1,
  )}${lineSvg(least, Math.max(most, least + 0.6), 'y1="50%" y2="50%"', '--line-1', 4)}<circle cx="${middle.toFixed(2)}%" cy="50%" r="4.5" fill="var(--line-1)"/></svg>`
}

export function defectsHtml({ contenders, counts }: DefectRun): string {
  const columns = [
    { head: 'system' },
    ...[
      'stock',
      'buyers with a ticket',
      'oversold',
      'stranded',
      'came back, not sold again',
      'requests failed',
      'buyers without an answer',
    ].map((head) => ({ head, isNumber: true })),
    { head: 'known for' },
  ]
  const rows = contenders.map(({ name, about, knownDefect }): Cell[] => {
    const count = counts.find(({ contender }) => contender === name)
    return [
      { html: `<b>${escape(name)}</b><br><span class="quiet">${escape(about)}</span>` },
      count?.stock ?? null,
      count?.told ?? null,
      bad(count?.oversold),
      bad(count?.stranded),
      bad(count?.notSoldAgain),
      count?.failed ?? null,
      bad(count?.unanswered),
      knownDefect ?? 'nothing known',
    ]
  })
  return table(columns, rows)
}

function lineSvg(from: number, to: number, y: string, colour: string, width: number): string {
  return `<line x1="${from.toFixed(2)}%" x2="${to.toFixed(2)}%" ${y} stroke="var(${colour})" stroke-width="${width}"/>`
}

/** A count that ought to be nothing. */
function bad(value: number | undefined): Cell {
  if (value === undefined) return null
  return value === 0 ? 0 : { html: `<b class="missing">${escape(shown(value))}</b>` }
}
