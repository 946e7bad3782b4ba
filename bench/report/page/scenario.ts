/** A scenario in the report: what happened, what was found, what it looked like. */
import type { Figure, ScenarioRun } from '../document.ts'
import type { Evidence } from '../judge.ts'
import {
  answerRates,
  answerTimes,
  batchSizes,
  callsPerTicket,
  nodeShares,
  remainingOf,
  sinceFirstBuyer,
  storeCalls,
} from '../series.ts'
import { type Chart, chartHtml } from './chart.ts'
import { escape, facts, shown } from './html.ts'

export function scenarioHtml(run: ScenarioRun, evidence: Evidence): string {
  const charts = chartsOf(run, evidence).map(chartHtml)
  return [
    facts(run.settings),
    figuresHtml(run.figures),
    marksHtml(run, firstBuyerMs(evidence)),
    `<div class="charts">${charts.join('')}</div>`,
  ].join('')
}

function figuresHtml(figures: readonly Figure[]): string {
  const tiles = figures.map(({ name, value, unit }) => {
    const figure =
      value === null ? '<span class="missing">missing</span>' : `${escape(shown(value))} <small>${escape(unit)}</small>`
    return `<div><dt>${escape(name)}</dt><dd>${figure}</dd></div>`
  })
  return tiles.length === 0 ? '' : `<dl class="figures">${tiles.join('')}</dl>`
}

/** When the first buyer came: until then the load tool made itself ready. Null where no buyer is known. */
function firstBuyerMs({ attempts }: Evidence): number | null {
  if (attempts === null || attempts.length === 0) return null
  return attempts.reduce((min, { sentMs }) => Math.min(min, sentMs), Number.POSITIVE_INFINITY)
}

/** The numbers stand in the charts as well. */
function marksHtml({ marks, startedAtMs }: ScenarioRun, firstMs: number | null): string {
  if (marks.length === 0) return ''
  const at = (atMs: number): string => ((startedAtMs + atMs - (firstMs ?? startedAtMs)) / 1000).toFixed(2)
  const items = marks.map(({ atMs, text }) => `<li><b>${at(atMs)} s</b> ${escape(text)}</li>`)
  return `<p class="quiet">What happened, in seconds since the first buyer came; dashed lines in the charts:</p><ol class="marks">${items.join('')}</ol>`
}

function chartsOf(run: ScenarioRun, evidence: Evidence): Chart[] {
  const zero = ((firstBuyerMs(evidence) ?? run.startedAtMs) - run.startedAtMs) / 1000
  const since = ({ x, ...more }: Chart): Chart => ({ ...more, x: x.map((at) => Number((at - zero).toFixed(3))) })
  const marks = run.marks.map(({ atMs, text }) => ({ at: atMs / 1000 - zero, text }))
  return plainCharts(run, evidence).map((chart) => ({ ...since(chart), marks }))
}

/** In seconds since the run began. */
function plainCharts(run: ScenarioRun, { attempts }: Evidence): Chart[] {
  const common = { xName: 'seconds since the first buyer came' }
  const charts: Chart[] = []
  if (attempts !== null && attempts.length > 0) {
    const rates = answerRates(attempts, run.startedAtMs)
    const times = answerTimes(attempts, run.startedAtMs)
    charts.push({
      ...common,
      ...rates,
      title: 'Answers, by what they meant',
      unit: 'answers a second, stacked',
      axis: 'answers / s',
      isStacked: true,
    })
    charts.push({
      ...common,
      ...times,
      title: 'How long answers took',
      unit: 'ms, logarithmic',
      axis: 'ms',
      isYLog: true,
    })
  }
  if (run.samples === null || run.samples.points.length < 2) return charts
  const samples = sinceFirstBuyer(run.samples, attempts ?? [], run.startedAtMs)
  return [
    ...charts,
    {
      ...common,
      ...remainingOf(samples),
      title: 'Tickets that nobody holds',
      unit: "by the store's own counter",
      axis: 'tickets',
    },
    {
      ...common,
      ...nodeShares(samples),
      title: 'Which node sold them',
      unit: 'tickets a second, stacked',
      axis: 'tickets / s',
      isStacked: true,
    },
    {
      ...common,
      ...batchSizes(samples),
      title: 'Size of a batch',
      unit: 'purchases per confirm call',
      axis: 'purchases / call',
    },
    {
      ...common,
      ...callsPerTicket(samples),
      title: 'What a ticket asks of Redis',
      unit: 'confirm calls per ticket',
      axis: 'calls / ticket',
    },
    {
      ...common,
      ...storeCalls(samples),
      title: 'What reaches Redis',
      unit: 'script calls a second',
      axis: 'calls / s',
    },
  ]
}
