/** The report: one HTML file that needs nothing beside it and is read by somebody who was not there. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BarsRun, BenchDocument, GrowthRun, MicroRun, Run } from './document.ts'
import type { DocumentJudgement, Evidence, Judgement } from './judge.ts'
import { contestHtml, defectsHtml } from './page/contest.ts'
import { deathsHtml } from './page/deaths.ts'
import { boundsHtml, growthHtml } from './page/growth.ts'
import { badge, type Cell, escape, facts, list, table } from './page/html.ts'
import { scenarioHtml } from './page/scenario.ts'

const SECTIONS: readonly {
  readonly id: string
  readonly title: string
  readonly intro: string
  readonly kinds: readonly Run['kind'][]
}[] = [
  {
    id: 'contests',
    title: 'Against the ways it is done elsewhere',
    intro:
      'Small servers behind the same API, each selling in a way known from the field, under the same load as Farebox and with the same store settings. They read the same request, check the same token and answer the same body. They run in turn, round by round; ratios are taken within a round, because only that is safe on a machine that others use too.',
    kinds: ['contest'],
  },
  {
    id: 'defects',
    title: 'Who keeps count when something dies',
    intro:
      'Two servers of each kind sell a small stock to three times as many buyers. In the middle one server is killed; its buyers repeat with the same key at the other. When everybody has an answer, some tickets come back and new buyers come for them. All columns are counted from what the buyers were told.',
    kinds: ['defects'],
  },
  {
    id: 'scenarios',
    title: 'Scenarios',
    intro:
      'Each is a whole cluster behind nginx, with real tokens, every buyer another person, and Redis writing every purchase to disk. Afterwards every order is read from the store and held against what each buyer was told.',
    kinds: ['scenario'],
  },
  {
    id: 'growth',
    title: 'What growth costs',
    intro: 'CPU time of all nodes and of Redis, per purchase and per refusal, as one thing grows and the rest stays.',
    kinds: ['growth'],
  },
  { id: 'parts', title: 'The parts, each alone', intro: 'Time per single step, in nanoseconds.', kinds: ['micro'] },
  { id: 'bars', title: 'Bars', intro: 'Figures held against what was hoped for.', kinds: ['bars'] },
]

export function pageOf(
  root: string,
  document: BenchDocument,
  judgement: DocumentJudgement,
  evidenceOf: (run: Run) => Evidence,
): string {
  const asset = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')
  const sections = SECTIONS.map((section) => sectionHtml(section, document, judgement, evidenceOf))
  const links = SECTIONS.filter(({ kinds }) => document.runs.some(({ kind }) => kinds.includes(kind))).map(
    ({ id, title }) => `<a href="#${id}">${escape(title)}</a>`,
  )
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>Farebox benchmark${document.isQuick === true ? ' (quick trial)' : ''}, ${escape(document.at.slice(0, 10))}: ${judgement.verdict}</title>`,
    `<style>${asset('node_modules', 'uplot', 'dist', 'uPlot.min.css')}${asset('bench', 'report', 'page', 'page.css')}</style>`,
    '</head><body>',
    headHtml(document, judgement),
    `<nav>${links.join('')}<a href="#method">How it was measured</a></nav>`,
    summaryHtml(document, judgement),
    deathsHtml(document.runs, (run) => judgementOf(judgement, run).verdict),
    ...sections,
    methodHtml(document),
    `<script>${asset('node_modules', 'uplot', 'dist', 'uPlot.iife.min.js')}</script>`,
    `<script type="module">${asset('bench', 'report', 'page', 'draw.js')}</script>`,
    '</body></html>\n',
  ].join('\n')
}

const SAID = {
  PASS: 'Every promise held in every run, nothing is missing, and every bar was reached.',
  'NOT REACHED': 'Every promise held in every run and nothing is missing; some figures are worse than hoped for.',
  FAIL: 'A promise was broken, or something that should have been seen is missing. Until it is explained, trust none of the figures below.',
} as const

const QUICK_SAID =
  '<b>A quick trial.</b> Everything was run as small and as short as it can be, to see that all of it works. Whether promises held can be read from it; <b>no figure on this page means anything</b>, and no bar does either.'

function headHtml(
  { at, commit, machine, runs, isQuick }: BenchDocument,
  { verdict, reasons }: DocumentJudgement,
): string {
  const className = verdict.toLowerCase().replaceAll(' ', '-')
  const where = `${machine['cpu']}, ${machine['cores']} cores`
  return [
    `<h1>Farebox benchmark</h1>`,
    `<p class="quiet">${escape(at.replace('T', ' ').slice(0, 16))} UTC · commit <code>${escape(commit.slice(0, 12))}${commit.includes('changed') ? ' (changed)' : ''}</code> · ${escape(where)} · ${runs.length} runs</p>`,
    isQuick === true ? `<div class="banner quick"><p>${QUICK_SAID}</p></div>` : '',
    `<div class="banner ${className}" role="status">${badge(verdict)}<p>${SAID[verdict]}</p></div>`,
    list(reasons, verdict === 'FAIL' ? 'reasons' : 'missed'),
  ].join('')
}

function summaryHtml(document: BenchDocument, judgement: DocumentJudgement): string {
  const rows = document.runs.map((run): Cell[] => {
    const { verdict, reasons } = judgementOf(judgement, run)
    return [
      { html: badge(verdict) },
      { html: `<a href="#run-${escape(run.id)}">${escape(run.title)}</a>${whyHtml(run, reasons)}` },
      `${Math.round((run.endedAtMs - run.startedAtMs) / 1000)} s`,
    ]
  })
  const columns = [{ head: 'verdict' }, { head: 'run' }, { head: 'took', isNumber: true }]
  return `<h2 id="runs">Runs</h2>${table(columns, rows)}`
}

/** The first reason; without one what was run, for who does not know it. */
function whyHtml({ about }: Run, reasons: readonly string[]): string {
  const first = reasons[0] ?? /^.*?\.(?= |$)/.exec(about)?.[0] ?? about
  return `<br><span class="quiet">${escape(first)}</span>`
}

function judgementOf({ runs }: DocumentJudgement, { id }: Run): Judgement {
  return runs.get(id) ?? { verdict: 'FAIL', reasons: ['it was not judged'] }
}

function sectionHtml(
  { id, title, intro, kinds }: (typeof SECTIONS)[number],
  { runs }: BenchDocument,
  judgement: DocumentJudgement,
  evidenceOf: (run: Run) => Evidence,
): string {
  const mine = runs.filter(({ kind }) => kinds.includes(kind))
  if (mine.length === 0) return ''
  const growth = mine.filter((run): run is GrowthRun => run.kind === 'growth')
  const parts = mine.map((run) => runHtml(run, judgementOf(judgement, run), evidenceOf(run)))
  return `<section><h2 id="${id}">${escape(title)}</h2><p>${escape(intro)}</p>${boundsHtml(growth)}${parts.join('')}</section>`
}

function runHtml(run: Run, { verdict, reasons }: Judgement, evidence: Evidence): string {
  const name = run.title === run.id ? '' : ` <small>${escape(run.id)}</small>`
  return [
    `<article><h3 id="run-${escape(run.id)}">${escape(run.title)}${name} ${badge(verdict)}</h3>`,
    `<p>${escape(run.about)}</p>`,
    list(reasons, verdict === 'FAIL' ? 'reasons' : 'missed'),
    bodyHtml(run, evidence),
    '</article>',
  ].join('')
}

function bodyHtml(run: Run, evidence: Evidence): string {
  switch (run.kind) {
    case 'scenario':
      return scenarioHtml(run, evidence)
    case 'contest':
      return facts(run.settings) + contestHtml(run)
    case 'defects':
      return facts(run.settings) + defectsHtml(run)
    case 'growth':
      return facts(run.settings) + growthHtml(run)
    case 'micro':
      return microHtml(run)
    case 'bars':
      return barsHtml(run)
  }
}

function microHtml({ answers }: MicroRun): string {
  const columns = [
    { head: 'question' },
    { head: 'with' },
    { head: 'median, ns', isNumber: true },
    { head: 'p99, ns', isNumber: true },
  ]
  const rows = answers.map(({ asks, task, medianNs, p99Ns }, at): Cell[] => [
    answers[at - 1]?.asks === asks ? '' : asks,
    task,
    medianNs === null ? null : Math.round(medianNs),
    p99Ns === null ? null : Math.round(p99Ns),
  ])
  return table(columns, rows)
}

function barsHtml({ verdicts }: BarsRun): string {
  const columns = [
    { head: 'bar' },
    { head: 'median', isNumber: true },
    { head: 'lowest pair', isNumber: true },
    { head: 'wanted' },
    { head: 'verdict' },
  ]
  const rows = verdicts.map(({ name, value, lowest, bar, verdict }): Cell[] => [
    name,
    value,
    lowest ?? '',
    bar,
    { html: badge(verdict) },
  ])
  return table(columns, rows)
}

function methodHtml({ machine, programs, settings, commit }: BenchDocument): string {
  return [
    '<section><h2 id="method">How it was measured</h2>',
    '<p>Servers and load have cores of their own where the machine has more than one. Purchases come from distinct buyers with real tokens and an <code>Idempotency-Key</code> each. Only tickets count as sales: refusals, repeats and errors are counted and timed apart. Where buyers arrive in an open model, arrivals that the load tool dropped make the run invalid. What is missing counts as failed.</p>',
    '<p>Figures of different machines, or of one machine at different times, cannot be compared; ratios within one round can.</p>',
    `<h3>Machine</h3>${facts(machine)}<h3>Programs</h3>${facts({ commit, ...programs })}<h3>Settings</h3>${facts(settings)}`,
    '<h3>Words</h3>',
    table(
      [{ head: 'word' }, { head: 'meaning' }],
      [
        ['won', 'a new order: the buyer holds tickets'],
        ['heard of their order again', 'the same request once more; the same order'],
        ['refused', 'nothing is left, or not enough, by the global counter'],
        ['asked to try again', '503, or no answer; the buyer repeats with the same key'],
        ['oversold, stranded', 'tickets beyond the stock; tickets that were there and that nobody got'],
        ['p50, p99', 'half, and 99 of 100, of the answers came at least this fast'],
        ['confirm call', 'the one script call in Redis that turns a batch of purchases into orders'],
      ],
    ),
    '</section>',
  ].join('')
}
