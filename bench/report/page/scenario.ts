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
    marksHtml(run),
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

function marksHtml({ marks }: ScenarioRun): string {
  if (marks.length === 0) return ''
  const items = marks.map(({ atMs, text }) => `<li><b>${(atMs / 1000).toFixed(2)} s</b> ${escape(text)}</li>`)
  return `<ol class="marks">${items.join('')}</ol>`
}

function chartsOf(run: ScenarioRun, { attempts }: Evidence): Chart[] {
  const marks = run.marks.map(({ atMs, text }) => ({ at: atMs / 1000, text }))
  const common = { xName: 'seconds since the beginning', marks }
  const charts: Chart[] = []
  if (attempts !== null && attempts.length > 0) {
    const rates = answerRates(attempts, run.startedAtMs)
    const times = answerTimes(attempts, run.startedAtMs)
    charts.push({
      ...common,
      ...rates,
      title: 'Answers, by what they meant',
      unit: 'a second, stacked',
      isStacked: true,
    })
    charts.push({ ...common, ...times, title: 'How long answers took', unit: 'ms, logarithmic', isYLog: true })
  }
  if (run.samples === null || run.samples.points.length < 2) return charts
  const samples = sinceFirstBuyer(run.samples, attempts ?? [], run.startedAtMs)
  return [
    ...charts,
    { ...common, ...remainingOf(samples), title: 'Tickets that nobody holds', unit: "the store's own counter" },
    {
      ...common,
      ...nodeShares(samples),
      title: 'Which node sold them',
      unit: 'tickets a second, stacked',
      isStacked: true,
    },
    { ...common, ...batchSizes(samples), title: 'Size of a batch', unit: 'purchases per confirm call' },
    { ...common, ...callsPerTicket(samples), title: 'What a ticket asks of Redis', unit: 'confirm calls per ticket' },
    { ...common, ...storeCalls(samples), title: 'What reaches Redis', unit: 'script calls a second' },
  ]
}
