/** How `watch` looks: two looks at the fleet become lines of at most a terminal's width. Pure. */
import type { NodeCounts, WatchFrame, WatchNode } from '../operations/watch.ts'
import type { SaleView } from '../operations/views.ts'
import { table } from './table.ts'

export interface Screen {
  readonly columns: number
  readonly rows: number
  readonly colours: boolean
}

/** What happened between two looks, a second each. */
export interface Rates {
  readonly won: number
  /** Refused for a reason of the sale's: not open, at zero, over the limit. */
  readonly refused: number
  /** Told to try again, or not told what became of it. */
  readonly trouble: number
  readonly byOutcome: Readonly<Record<string, number>>
  readonly calls: number
  /** Items per confirm call; null without a call. */
  readonly batch: number | null
  /** Milliseconds within which half, and 99 of 100, of the buys were answered; null without a buy. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

const TROUBLE: readonly string[] = ['busy', 'recovering', 'outcome_unknown', 'internal']

export function ratesOf(before: readonly WatchNode[], now: readonly WatchNode[], seconds: number): Rates {
  const pairs = now.flatMap(({ id, counts }) => {
    const was = before.find((node) => node.id === id)?.counts ?? null
    return counts === null || was === null ? [] : [{ was, counts }]
  })
  const grown = (read: (counts: NodeCounts) => number): number =>
    // A process that began anew counts from zero.
    pairs.reduce((sum, { was, counts }) => sum + Math.max(0, read(counts) - read(was)), 0)
  const names = [...new Set(pairs.flatMap(({ counts }) => Object.keys(counts.outcomes)))]
  const byOutcome = Object.fromEntries(
    names.map((name) => [name, grown((counts) => counts.outcomes[name] ?? 0) / seconds]),
  )
  const bounds = [...new Set(pairs.flatMap(({ counts }) => Object.keys(counts.answered)))]
  const answered = bounds.map((bound) => ({
    atMost: bound === '+Inf' ? Infinity : Number(bound),
    count: grown((counts) => counts.answered[bound] ?? 0),
  }))
  const calls = grown((counts) => counts.calls)
  const sumOf = (wanted: (name: string) => boolean): number =>
    names.filter(wanted).reduce((sum, name) => sum + (byOutcome[name] ?? 0), 0)
  const won = byOutcome['won'] ?? 0
  const trouble = sumOf((name) => TROUBLE.includes(name))
  return {
    won,
    trouble,
    refused: sumOf((name) => name !== 'won' && name !== 'replayed' && !TROUBLE.includes(name)),
    byOutcome,
    calls: calls / seconds,
    batch: calls === 0 ? null : grown((counts) => counts.items) / calls,
    p50Ms: quantileMs(answered, 0.5),
    p99Ms: quantileMs(answered, 0.99),
  }
}

/** The bound of the bucket in which the quantile lies: a histogram knows no better. */
function quantileMs(
  buckets: readonly { readonly atMost: number; readonly count: number }[],
  quantile: number,
): number | null {
  const sorted = buckets.toSorted((a, b) => a.atMost - b.atMost)
  const all = sorted.at(-1)?.count ?? 0
  if (all === 0) return null
  const found = sorted.find(({ count }) => count >= quantile * all)
  return found === undefined ? null : found.atMost * 1000
}

export function renderWatch(
  frame: WatchFrame,
  before: WatchFrame | null,
  wonPerSecond: readonly number[],
  { columns, rows, colours }: Screen,
): string[] {
  const seconds = before === null ? 1 : Math.max(0.001, (frame.nowMs - before.nowMs) / 1000)
  const since = before?.nodes ?? frame.nodes
  const all = ratesOf(since, frame.nodes, seconds)
  const paint = painter(colours)
  const lines = [
    headLine(frame, columns, paint),
    ...frame.sales.flatMap((sale) => saleLines(sale, columns, paint)),
    '',
    ...rateLines(all, paint),
    `won/s     ${sparkline(wonPerSecond.slice(-Math.max(10, columns - 12)))}`,
    '',
    ...nodeLines(frame, since, seconds, columns, paint),
    '',
    ...(frame.alarms.length === 0 ? [paint.good('no alarms')] : frame.alarms.map((text) => paint.bad(`ALARM ${text}`))),
  ]
  return lines.slice(0, rows).map((line) => cut(line, columns))
}

interface Painter {
  readonly bold: (text: string) => string
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly dim: (text: string) => string
}

function painter(colours: boolean): Painter {
  const wrap =
    (code: number) =>
    (text: string): string =>
      colours ? `\u001b[${code}m${text}\u001b[0m` : text
  return { bold: wrap(1), good: wrap(32), bad: wrap(31), dim: wrap(2) }
}

function headLine({ at, leader, sales }: WatchFrame, columns: number, paint: Painter): string {
  const title = sales.length === 1 ? `farebox  ${sales[0]?.id ?? ''}  ${sales[0]?.name ?? ''}` : 'farebox'
  const right = `${leader === null ? 'NO LEADER' : `leader ${leader}`}  ${at.slice(11, 19)} UTC  q quits`
  return paint.bold(`${title.slice(0, Math.max(0, columns - right.length - 2)).padEnd(columns - right.length)}${right}`)
}

function saleLines(sale: SaleView, columns: number, paint: Painter): string[] {
  const state = sale.recovering ? paint.bad(`${sale.state}, recovering`) : sale.state
  return [
    `${paint.bold(sale.id)}  ${state}`,
    ...sale.fares.map(({ id, stock, remaining, held, paid }) => {
      const text = `${grouped(remaining)} of ${grouped(stock)} left, ${grouped(held)} held, ${grouped(paid)} paid`
      const width = Math.max(5, Math.min(40, columns - text.length - 20))
      return `  ${id.padEnd(12)} ${bar(stock === 0 ? 0 : remaining / stock, width)} ${text}`
    }),
  ]
}

function rateLines(rates: Rates, paint: Painter): string[] {
  const named = Object.entries(rates.byOutcome)
    .filter(([, rate]) => rate > 0)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, rate]) => (TROUBLE.includes(name) ? paint.bad(`${name} ${shown(rate)}`) : `${name} ${shown(rate)}`))
  const batch = rates.batch === null ? '-' : rates.batch.toFixed(1)
  return [
    `buys/s    ${named.length === 0 ? 'none' : named.join('  ')}`,
    `answers   p50 ${within(rates.p50Ms)}  p99 ${within(rates.p99Ms)}   confirms ${shown(rates.calls)}/s of ${batch} items`,
  ]
}

function nodeLines(
  frame: WatchFrame,
  before: readonly WatchNode[],
  seconds: number,
  columns: number,
  paint: Painter,
): string[] {
  const head = [
    'NODE',
    'STATE',
    'WEIGHT',
    'WON/S',
    'REFUSED/S',
    'TROUBLE/S',
    'QUOTA',
    'IN FLIGHT',
    'WAITING',
    'BATCH',
    'P99',
    'HEARD',
  ]
  const rows = frame.nodes.map((node) => {
    const rates = node.counts === null ? null : ratesOf(before, [node], seconds)
    return [
      node.id,
      node.state,
      node.weight,
      rateText(rates?.won),
      rateText(rates?.refused),
      rateText(rates?.trouble),
      node.allowance,
      node.inFlight,
      node.parked,
      rates?.batch === null || rates === null ? '-' : rates.batch.toFixed(1),
      rates === null ? '-' : within(rates.p99Ms),
      node.heartbeatAgeMs === null ? '-' : `${node.heartbeatAgeMs} ms`,
    ]
  })
  const [title = '', ...lines] = fittingTable(head, rows, columns).split('\n')
  return [
    paint.dim(title),
    ...lines.map((line, index) => (frame.nodes[index]?.state === 'dead' ? paint.bad(line) : line)),
  ]
}

/** What a narrow terminal does without, the first first: numbers are not cut, so whole columns go. */
const DISPENSABLE = ['BATCH', 'WAITING', 'IN FLIGHT', 'WEIGHT', 'QUOTA']

function fittingTable(
  head: readonly string[],
  rows: readonly (readonly (string | number | null)[])[],
  columns: number,
) {
  const gone: string[] = []
  for (;;) {
    const kept = <T>(cells: readonly T[]): T[] => cells.filter((_, column) => !gone.includes(head[column] ?? ''))
    const text = table(kept(head), rows.map(kept), columns)
    const next = DISPENSABLE[gone.length]
    if (next === undefined || text.split('\n').every((line) => line.length <= columns)) return text
    gone.push(next)
  }
}

function rateText(value: number | undefined): string {
  return value === undefined ? '-' : shown(value)
}

export function plainLine(frame: WatchFrame, before: WatchFrame | null): string {
  const seconds = before === null ? 1 : Math.max(0.001, (frame.nowMs - before.nowMs) / 1000)
  const rates = ratesOf(before?.nodes ?? frame.nodes, frame.nodes, seconds)
  const live = frame.nodes.filter(({ state, isHeard }) => state === 'live' && isHeard).length
  const sales = frame.sales.map((sale) => {
    const left = sale.fares.map(({ id, remaining }) => `${id}=${remaining}`).join(' ')
    return `${sale.id} ${sale.recovering ? 'recovering' : sale.state} ${left}`
  })
  const speed = `won/s=${shown(rates.won)} refused/s=${shown(rates.refused)} trouble/s=${shown(rates.trouble)}`
  const alarms = frame.alarms.length === 0 ? '' : ` ALARM ${frame.alarms.join('; ')}`
  return `${frame.at} ${sales.join(' | ')} ${speed} p99=${within(rates.p99Ms)} nodes=${live}/${frame.nodes.length}${alarms}`
}

const BLOCKS = ' ▁▂▃▄▅▆▇█'

export function sparkline(values: readonly number[]): string {
  const top = Math.max(1, ...values)
  return values.map((value) => BLOCKS[Math.min(8, Math.ceil((8 * value) / top))] ?? ' ').join('')
}

export function bar(part: number, width: number): string {
  const full = Math.round(Math.max(0, Math.min(1, part)) * width)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`
}

function shown(rate: number): string {
  return rate >= 100 || rate === 0 ? grouped(Math.round(rate)) : rate.toFixed(1)
}

function grouped(number: number): string {
  return String(number).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}

function within(ms: number | null): string {
  if (ms === null) return '-'
  return ms === Infinity ? '>5 s' : `≤${ms < 1 ? ms.toFixed(2) : ms.toFixed(0)} ms`
}

/** To the width, not counting what only paints. */
function cut(line: string, columns: number): string {
  let width = 0
  let text = ''
  // oxlint-disable-next-line no-control-regex -- the marks of colours are control characters
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    if (part.startsWith('\u001b')) {
      text += part
      continue
    }
    const room = columns - width
    text += part.slice(0, Math.max(0, room))
    width += Math.min(part.length, Math.max(0, room))
  }
  return text
}
