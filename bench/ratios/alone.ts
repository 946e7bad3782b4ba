/** One buyer alone on the machine: one script call per purchase, and hardly slower than HTTP plus that call. */
import { fileURLToPath } from 'node:url'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { judgeValue, median, type Verdict } from '../report/verdicts.ts'
import { BATCHED, type Plan, withBare, withSite, wrkFaults } from './contenders.ts'
import { output, SERVER_CORE } from '../cluster/processes.ts'
import { openSale, type SiteSettings, startRedis } from './site.ts'
import { runWrk } from './wrk.ts'

const TRIP = fileURLToPath(new URL('./script-trip.js', import.meta.url))
export const ALONE_SECONDS = 3
/**
 * More than one connection asks for, so that no request comes twice. No more are set aside, because wrk reads them all
 * before it begins: a file for 256 connections takes it longer than the round.
 */
export const ALONE_PER_SECOND_MAX = 30_000

interface Round {
  readonly purchaseMs: number
  readonly bareMs: number
  readonly tripMs: number
  readonly callsPerPurchase: number
  readonly faults: readonly string[]
}

export async function measureAlone(
  plan: Plan,
  fsync: SiteSettings['fsync'],
  say: (line: string) => void,
): Promise<Verdict[]> {
  const rounds: Round[] = []
  for (let n = 0; n < plan.pairs; n += 1) {
    const round = await measureRound(plan, fsync)
    rounds.push(round)
    const parts = [round.purchaseMs, round.bareMs, round.tripMs].map((ms) => `${Math.round(ms * 1000)} us`)
    say(
      `alone, fsync ${fsync} ${n + 1}/${plan.pairs}: ${parts[0]} : ${parts[1]} + ${parts[2]} = ${ratioOf(round).toFixed(3)}`,
    )
  }
  const faults = rounds.flatMap((round) => round.faults)
  const of = (read: (round: Round) => number): number => median(rounds.map(read))
  const [purchase, bare, trip] = [of((r) => r.purchaseMs), of((r) => r.bareMs), of((r) => r.tripMs)]
  const parts = [purchase, bare, trip].map((ms) => `${Math.round(ms * 1000)} us`)
  const where = `alone, fsync ${fsync}`
  const name = `${where}: p50 ${parts[0]} against bare request ${parts[1]} + script round trip ${parts[2]}`
  return [
    judgeValue(
      { name: `${where}: calls per purchase`, atLeast: 1, atMost: 1 },
      Math.max(...rounds.map((round) => round.callsPerPurchase)),
      faults,
    ),
    judgeValue({ name, atMost: 1.5 }, of(ratioOf), faults),
    judgeValue({ name: `${where}: the same, as hoped for since`, atMost: 1.3 }, of(ratioOf), faults),
  ]
}

function ratioOf({ purchaseMs, bareMs, tripMs }: Round): number {
  return purchaseMs / (bareMs + tripMs)
}

async function measureRound(plan: Plan, fsync: SiteSettings['fsync']): Promise<Round> {
  const { file, warmUpSeconds } = plan
  const warmUpCount = warmUpSeconds * ALONE_PER_SECOND_MAX
  const warmUp = { connections: 1, seconds: warmUpSeconds, file, first: 0, count: warmUpCount }
  const count = ALONE_SECONDS * ALONE_PER_SECOND_MAX
  const load = { connections: 1, seconds: ALONE_SECONDS, file, first: warmUpCount, count }
  const bare = await withBare(plan, 'purchase', async (url) => {
    await runWrk({ ...warmUp, url })
    return runWrk({ ...load, url })
  })
  const ours = await withSite(plan, { ...BATCHED, fsync }, async (site) => {
    const { url } = site
    await runWrk({ ...warmUp, url })
    const before = { won: (await site.outcomes())['won'] ?? Number.NaN, calls: await site.confirmCalls() }
    const wrk = await runWrk({ ...load, url })
    const won = ((await site.outcomes())['won'] ?? Number.NaN) - before.won
    const faults = [...(await site.faults(['won'])), ...wrkFaults(wrk, 'accepted')]
    return { wrk, faults, callsPerPurchase: ((await site.confirmCalls()) - before.calls) / won }
  })
  const { callsPerPurchase, faults, wrk } = ours
  return { purchaseMs: wrk.p50Ms, bareMs: bare.p50Ms, tripMs: await tripMs(plan, fsync), callsPerPurchase, faults }
}

async function tripMs(plan: Plan, fsync: SiteSettings['fsync']): Promise<number> {
  const redis = await startRedis(plan.directory, fsync)
  try {
    const stock = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
    await openSale(stock, 5_000_000)
    await stock.close()
    return Number(await output(SERVER_CORE, process.execPath, [TRIP, redis.url, String(ALONE_SECONDS)]))
  } finally {
    await redis.stop()
  }
}
