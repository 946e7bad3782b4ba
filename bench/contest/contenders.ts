/** Baselines as contenders: the same sample that Farebox gives, from the same file of requests. */
import { BASELINES } from '../baselines/all.ts'
import { settledFaults } from '../cluster/settled.ts'
import { type Contender, type Measured, type Plan, times, told, wrkFaults } from '../ratios/contenders.ts'
import { runWrk } from '../ratios/wrk.ts'
import { startBaseline } from './system.ts'

/** More than any of them sells in a sample. */
const STOCK = 1_500_000
/** Where each purchase waits for all others, as with a version column, the last of 256 waits for long. */
const PATIENCE_SECONDS = 60

export function baseline(name: string, fsync: 'always' | 'off', title = BASELINES[name]?.title ?? name): Contender {
  return { name: title, run: (plan) => sample(plan, name, fsync, title) }
}

async function sample(plan: Plan, name: string, fsync: 'always' | 'off', contender: string): Promise<Measured> {
  const { directory, secret, file, connections, seconds, warmUpCount } = plan
  const settings = { directory, secret, fsync, stock: STOCK, servers: 1, connectionsMax: 1 }
  const system = await startBaseline(name, settings)
  try {
    const load = { url: system.urls[0] ?? '', connections, file, timeoutSeconds: PATIENCE_SECONDS }
    await runWrk({ ...load, seconds: plan.warmUpSeconds, first: 0, count: warmUpCount })
    await settledFaults(() => system.faults())
    const before = (await system.outcomes())['won'] ?? Number.NaN
    const wrk = await runWrk({ ...load, seconds, first: warmUpCount, count: file.count - warmUpCount })
    const outcomes = await system.outcomes()
    const won = (outcomes['won'] ?? Number.NaN) - before
    const odd = Object.entries(told(outcomes)).filter(([outcome]) => !['won', 'aborted'].includes(outcome))
    const faults = [
      ...(await settledFaults(() => system.faults())),
      ...wrkFaults(wrk, 'accepted'),
      ...odd.map(([outcome, count]) => `${count} answers ${outcome}`),
    ]
    return { contender, perSecond: won / wrk.seconds, ...times(wrk), outcomes: told(outcomes), faults }
  } finally {
    await system.stop()
  }
}
