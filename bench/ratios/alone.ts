/** One buyer alone on the machine: one script call per purchase, and hardly slower than HTTP plus that call. */
import { fileURLToPath } from 'node:url'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { judgeValue, median, type Verdict } from '../report/verdicts.ts'
import { BATCHED, type Plan, withBare, withSite, wrkFaults } from './contenders.ts'
import { output, SERVER_CORE } from '../cluster/processes.ts'
import { openSale, type SiteSettings, startRedis } from './site.ts'
import { runWrk } from './wrk.ts'

const TRIP = fileURLToPath(new URL('./script-trip.js', import.meta.url))
const ROUNDS = 3
const SECONDS = 3

interface Round {
  readonly purchaseMs: number
  readonly bareMs: number
  readonly tripMs: number
  readonly callsPerPurchase: number
  readonly faults: readonly string[]
}

export async function measureAlone(plan: Plan, fsync: SiteSettings['fsync']): Promise<Verdict[]> {
  const rounds: Round[] = []
  for (let n = 0; n < ROUNDS; n += 1) rounds.push(await measureRound(plan, fsync))
  const faults = rounds.flatMap((round) => round.faults)
  const of = (read: (round: Round) => number): number => median(rounds.map(read))
  const [purchase, bare, trip] = [of((r) => r.purchaseMs), of((r) => r.bareMs), of((r) => r.tripMs)]
  const parts = [purchase, bare, trip].map((ms) => `${Math.round(ms * 1000)} us`)
  const where = `alone, fsync ${fsync}`
  return [
    judgeValue(
      { name: `${where}: calls per purchase`, atLeast: 1, atMost: 1 },
      Math.max(...rounds.map((round) => round.callsPerPurchase)),
      faults,
    ),
    judgeValue(
      {
        name: `${where}: p50 ${parts[0]} against bare request ${parts[1]} + script round trip ${parts[2]}`,
        atMost: 1.5,
      },
      of((round) => round.purchaseMs / (round.bareMs + round.tripMs)),
      faults,
    ),
  ]
}

async function measureRound(plan: Plan, fsync: SiteSettings['fsync']): Promise<Round> {
  const load = { connections: 1, seconds: SECONDS, file: plan.file, first: 0, count: plan.warmUpCount }
  const later = { ...load, first: plan.warmUpCount, count: plan.file.count - plan.warmUpCount }
  const bare = await withBare(plan, 'purchase', async (url) => {
    await runWrk({ ...load, url, seconds: plan.warmUpSeconds })
    return runWrk({ ...later, url })
  })
  const ours = await withSite(plan, { ...BATCHED, fsync }, async (site) => {
    const { url } = site
    await runWrk({ ...load, url, seconds: plan.warmUpSeconds })
    const before = { won: (await site.outcomes())['won'] ?? Number.NaN, calls: await site.confirmCalls() }
    const wrk = await runWrk({ ...later, url })
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
    return Number(await output(SERVER_CORE, process.execPath, [TRIP, redis.url, String(SECONDS)]))
  } finally {
    await redis.stop()
  }
}
