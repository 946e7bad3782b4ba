/**
 * `npm run bench -- ledger-keeps-up`: one node sells at a fixed rate, and the ledger takes the orders in at the same
 * time. Prints how far it is behind, second by second: bounded, not growing, and nothing when selling has ended.
 */
import { saleKeys } from '../../stock/redis/keys.ts'
import { exitCode, judgeValue, type Verdict, verdictLines } from '../report/verdicts.ts'
import { pacedFaults } from '../paced/run.ts'
import { SALE } from '../ratios/requests.ts'
import type { LedgerKind } from './orders-process.ts'
import { drained, type PacedStage, withPlan, withStage } from './paced-site.ts'

export interface KeepUpOptions {
  readonly kind: LedgerKind
  readonly seconds: number
  readonly rate: number
  readonly strict: boolean
}

export interface BacklogPoint {
  readonly atSeconds: number
  readonly sold: number
  readonly taken: number
  readonly lagMs: number
}

const LOOK_EVERY_MS = 500
/** From nothing behind to the ordinary is no growth. */
const SETTLED_AFTER_SECONDS = 1

export async function runKeepUp(options: KeepUpOptions): Promise<number> {
  const verdicts = await measureKeepUp(options)
  say(`\n${verdictLines(verdicts).join('\n')}`)
  return exitCode(verdicts, options.strict)
}

export function measureKeepUp(options: Omit<KeepUpOptions, 'strict'>): Promise<Verdict[]> {
  return withPlan(options, async (plan) => withStage(plan, (stage) => sellAndWatch(stage, options)))
}

async function sellAndWatch(
  stage: PacedStage,
  { rate, kind }: Pick<KeepUpOptions, 'rate' | 'kind'>,
): Promise<Verdict[]> {
  const { site, ledger, total, count, sell } = stage
  const points: BacklogPoint[] = []
  const startMs = performance.now()
  say('   at s      sold     taken  backlog  oldest ms')
  const selling = sell()
  const looking = new AbortController()
  const end = (): void => looking.abort()
  selling.then(end, end)
  while (!looking.signal.aborted) {
    points.push(await look(stage, (performance.now() - startMs) / 1000))
    say(shown(points.at(-1)))
    await Promise.race([selling, new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))])
  }
  const summary = await selling
  const drainedMs = await drained(ledger, total)
  const faults = [...pacedFaults(summary, count), ...(await site.faults(['won']))]
  say(`p50 ${summary.p50Ms.toFixed(1)}, p99 ${summary.p99Ms.toFixed(1)}, max ${summary.maxMs.toFixed(1)} ms`)
  return judgeBacklog({ rate, kind, points, drainedMs, soldPerSecond: count / summary.seconds, faults })
}

/** The ledger is asked first: what is sold until the store answers makes the backlog look larger, never smaller. */
async function look({ site, ledger }: PacedStage, atSeconds: number): Promise<BacklogPoint> {
  const level = await ledger.level()
  return { atSeconds, ...level, sold: await site.redis.client.hlen(saleKeys(SALE).orders) }
}

interface Watched {
  readonly rate: number
  readonly kind: LedgerKind
  readonly points: readonly BacklogPoint[]
  readonly drainedMs: number
  readonly soldPerSecond: number
  readonly faults: readonly string[]
}

/** A second's purchases is the bound; growth is the slope of the straight line through the points. */
export function judgeBacklog({ rate, kind, points, drainedMs, soldPerSecond, faults }: Watched): Verdict[] {
  const backlogs = points.map(({ sold, taken }) => sold - taken)
  const most = backlogs.length === 0 ? Number.NaN : Math.max(...backlogs)
  const lines = points
    .map(({ atSeconds }, at): [number, number] => [atSeconds, backlogs[at] ?? Number.NaN])
    .filter(([atSeconds]) => atSeconds >= SETTLED_AFTER_SECONDS)
  const what = `${kind}, ${rate} purchases/s`
  return [
    judgeValue({ name: `${what}: sold a second`, atLeast: rate * 0.98 }, soldPerSecond, faults),
    judgeValue({ name: `${what}: most orders behind, of a second's purchases`, atMost: 1 }, most / rate, faults),
    judgeValue(
      { name: `${what}: growth of the backlog a second, of what is sold in it`, atMost: 0.01 },
      slopeOf(lines) / rate,
      faults,
    ),
    judgeValue({ name: `${what}: seconds until nothing was left`, atMost: 2 }, drainedMs / 1000, faults),
  ]
}

/** Least squares; not a number for fewer than three points. */
export function slopeOf(points: readonly (readonly [number, number])[]): number {
  if (points.length < 3) return Number.NaN
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))]
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0)
  return over / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function shown(point: BacklogPoint | undefined): string {
  if (point === undefined) return ''
  const { atSeconds, sold, taken, lagMs } = point
  const cells: [number | string, number][] = [
    [atSeconds.toFixed(1), 7],
    [sold, 10],
    [taken, 10],
    [sold - taken, 9],
    [Math.round(lagMs), 11],
  ]
  return cells.map(([cell, width]) => String(cell).padStart(width)).join('')
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
