/**
 * How long a purchase takes at a rate that the node can still serve: the slowest one of a hundred against the middle one,
 * at four fifths of what the same node, started anew, sold at most a moment before. Open loads: nobody waits for others.
 */
import type { Plan } from '../ratios/contenders.ts'
import { purchases, withSite } from '../ratios/contenders.ts'
import { judgeValue, median, type Verdict } from '../report/verdicts.ts'
import { pacedFaults, runPaced } from './run.ts'

const SHARE_OF_MAXIMUM = 0.8
const TIMES_P50_AT_MOST = 5
const WARM_UP_SECONDS = 2
/** More than ever wait for an answer: every buyer has a connection. */
const CONNECTIONS = 1024
/** Where the load was later than that, the rate was not the one that was meant, and a queue hides a long tail. */
const LATE_SHARE_OF_P99 = 0.5

export interface TailRound {
  readonly maximumPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** How late the load itself sent: a good part of the p99 where the machine is busy, and then no figure of the node's. */
  readonly lateP99Ms: number
  readonly faults: readonly string[]
}

export async function measureTail(plan: Plan, say: (line: string) => void): Promise<TailRound[]> {
  const rounds: TailRound[] = []
  for (let n = 1; n <= plan.pairs; n += 1) {
    const round = await measureRound(plan)
    rounds.push(round)
    const { maximumPerSecond, p50Ms, p99Ms, lateP99Ms } = round
    const [most, ...times] = [maximumPerSecond.toFixed(0), ...[p50Ms, p99Ms, lateP99Ms].map((ms) => ms.toFixed(1))]
    say(`  round ${n}: of ${most}/s: p50 ${times[0]} ms, p99 ${times[1]} ms (sent up to ${times[2]} ms late)`)
  }
  return rounds
}

async function measureRound(plan: Plan): Promise<TailRound> {
  const { file, seconds } = plan
  const most = await purchases('always', 'batched').run(plan)
  const rate = Math.floor(most.perSecond * SHARE_OF_MAXIMUM)
  return withSite(plan, { fsync: 'always', stock: 5_000_000, node: {} }, async (site) => {
    const load = { url: site.url, file, rate, connections: CONNECTIONS }
    const warmUp = WARM_UP_SECONDS * rate
    await runPaced({ ...load, first: 0, count: warmUp })
    const count = seconds * rate
    const summary = await runPaced({ ...load, first: warmUp, count })
    const faults = [...most.faults, ...pacedFaults(summary, count), ...(await site.faults(['won']))]
    const { p50Ms, p99Ms, lateP99Ms } = summary
    return { maximumPerSecond: most.perSecond, p50Ms, p99Ms, lateP99Ms, faults }
  })
}

export function judgeTail(rounds: readonly TailRound[]): Verdict[] {
  const faults = rounds.flatMap((round, n) => faultsOf(round).map((fault) => `round ${n + 1}: ${fault}`))
  const of = (read: (round: TailRound) => number): number => median(rounds.map(read))
  const at = `purchases, fsync always, at ${SHARE_OF_MAXIMUM * 100} % of their maximum rate`
  return [
    judgeValue(
      { name: `${at}: p99 against p50`, atMost: TIMES_P50_AT_MOST },
      of((r) => r.p99Ms / r.p50Ms),
      faults,
    ),
    judgeValue(
      { name: `${at}: p50, ms` },
      of((r) => r.p50Ms),
    ),
    judgeValue(
      { name: `${at}: p99, ms` },
      of((r) => r.p99Ms),
    ),
    judgeValue(
      { name: `${at}: how late the load itself sent, p99, ms` },
      of((r) => r.lateP99Ms),
    ),
    judgeValue(
      { name: 'their maximum rate, a second' },
      of((r) => r.maximumPerSecond),
    ),
  ]
}

function faultsOf({ faults, lateP99Ms, p99Ms }: TailRound): string[] {
  if (lateP99Ms <= LATE_SHARE_OF_P99 * p99Ms) return [...faults]
  return [
    ...faults,
    `INVALID: purchases were sent up to ${lateP99Ms.toFixed(1)} ms late, of a p99 of ${p99Ms.toFixed(1)} ms: the machine was too busy for the rate`,
  ]
}
