/** Curves of what a purchase and a refusal cost as one thing grows. */
import type { GrowthPoint, GrowthRun } from '../document.ts'
import { dearest, purchaseGrowth, purchaseUs, refusalUs } from '../judge.ts'
import { chartHtml } from './chart.ts'
import { type Cell, shown, table } from './html.ts'

export function growthHtml(run: GrowthRun): string {
  const { points, axis } = run
  const x = points.map((point) => point.x)
  const charts = [
    {
      title: 'A purchase',
      unit: 'microseconds of CPU',
      axis: 'µs',
      lines: [
        { name: 'nodes', values: points.map(({ purchaseNodeUs }) => purchaseNodeUs) },
        { name: 'Redis', values: points.map(({ purchaseRedisUs }) => purchaseRedisUs) },
        { name: 'both', values: points.map((point) => finite(purchaseUs(point))) },
      ],
    },
    {
      title: 'A refusal after zero',
      unit: 'microseconds of CPU',
      axis: 'µs',
      lines: [
        { name: 'nodes', values: points.map(({ refusalNodeUs }) => refusalNodeUs) },
        { name: 'Redis', values: points.map(({ refusalRedisUs }) => refusalRedisUs) },
        { name: 'both', values: points.map((point) => finite(refusalUs(point))) },
      ],
    },
  ]
  const columns = [
    axis,
    'purchase: nodes, µs',
    'Redis, µs',
    'purchases per call',
    'refusal: nodes, µs',
    'Redis, µs',
    'once, at the start: ms',
  ].map((head) => ({ head, isNumber: true }))
  const rows = points.map((point): Cell[] => [
    point.x,
    point.purchaseNodeUs,
    point.purchaseRedisUs,
    point.purchasesPerCall,
    point.refusalNodeUs,
    point.refusalRedisUs,
    point.startMs,
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
    { head: 'a purchase costs at most … times as much', isNumber: true },
    { head: 'a refusal', isNumber: true },
    { head: 'of the purchase' },
    { head: 'what bounds it' },
  ]
  const rows = runs.map((run): Cell[] => {
    const { axis, points, bound } = run
    const [first, last] = [points[0], points.at(-1)]
    if (first === undefined || last === undefined) return [axis, null, null, null, null, null, bound]
    const times = (costUs: (point: GrowthPoint) => number): string => {
      const most = dearest(points, costUs)
      return Number.isFinite(most.times) ? `${shown(most.times)} (at ${shown(most.x)})` : 'missing'
    }
    return [axis, first.x, last.x, times(purchaseUs), times(refusalUs), purchaseGrowth(run), bound]
  })
  return `<h3 id="bounds">What bounds each</h3>${table(columns, rows)}`
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
