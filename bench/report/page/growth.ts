/** Curves of what a purchase and a refusal cost as one thing grows. */
import type { GrowthPoint, GrowthRun } from '../document.ts'
import { purchaseUs, refusalUs } from '../judge.ts'
import { chartHtml } from './chart.ts'
import { type Cell, table } from './html.ts'

export function growthHtml(run: GrowthRun): string {
  const { points, axis } = run
  const x = points.map((point) => point.x)
  const charts = [
    {
      title: 'A purchase',
      unit: 'microseconds of CPU',
      lines: [
        { name: 'nodes', values: points.map(({ purchaseNodeUs }) => purchaseNodeUs) },
        { name: 'Redis', values: points.map(({ purchaseRedisUs }) => purchaseRedisUs) },
        { name: 'both', values: points.map((point) => finite(purchaseUs(point))) },
      ],
    },
    {
      title: 'A refusal after zero',
      unit: 'microseconds of CPU',
      lines: [
        { name: 'nodes', values: points.map(({ refusalNodeUs }) => refusalNodeUs) },
        { name: 'Redis', values: points.map(({ refusalRedisUs }) => refusalRedisUs) },
        { name: 'both', values: points.map((point) => finite(refusalUs(point))) },
      ],
    },
  ]
  const columns = [
    axis,
    'purchase, node us',
    'purchase, Redis us',
    'purchases per call',
    'refusal, node us',
    'refusal, Redis us',
  ].map((head) => ({ head, isNumber: true }))
  const rows = points.map((point): Cell[] => [
    point.x,
    point.purchaseNodeUs,
    point.purchaseRedisUs,
    point.purchasesPerCall,
    point.refusalNodeUs,
    point.refusalRedisUs,
  ])
  const drawn = charts.map((chart) => chartHtml({ ...chart, x, xName: axis, isXLog: true }))
  return `<div class="charts">${drawn.join('')}</div>${table(columns, rows)}`
}

/** One row per axis: how the ends compare, and what bounds it. */
export function boundsHtml(runs: readonly GrowthRun[]): string {
  if (runs.length === 0) return ''
  const columns = [
    { head: 'what grows' },
    { head: 'from', isNumber: true },
    { head: 'to', isNumber: true },
    { head: 'purchase costs, times', isNumber: true },
    { head: 'refusal costs, times', isNumber: true },
    { head: 'what bounds it' },
  ]
  const rows = runs.map(({ axis, points, bound }): Cell[] => {
    const [first, last] = [points[0], points.at(-1)]
    if (first === undefined || last === undefined) return [axis, null, null, null, null, bound]
    const times = (read: (point: GrowthPoint) => number): number | null => finite(read(last) / read(first))
    return [axis, first.x, last.x, times(purchaseUs), times(refusalUs), bound]
  })
  return `<h3 id="bounds">What bounds each</h3>${table(columns, rows)}`
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
