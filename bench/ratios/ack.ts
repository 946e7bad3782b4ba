/**
 * What the levels of `ack` cost: the same node, store and ledger, and nothing differs but when a buyer is told. Rounds
 * in which each level takes its turn, from its own fresh start: first as many purchases as it sells at most, then some
 * at a rate that every level sells, for how long a buyer waits.
 *
 * Node and Redis have the servers' core. Replica, orders process and PostgreSQL share the other with the load: in
 * production they have machines of their own, so the ratios say the most that a level costs, not the least.
 */
import { Interrupted } from '../cluster/processes.ts'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { startLedger } from '../ledger/orders-process.ts'
import { pacedFaults, runPaced } from '../paced/run.ts'
import { judgeValue, median, type Sample, type Verdict } from '../report/verdicts.ts'
import { wrkFaults } from './contenders.ts'
import { startReplica } from './replica.ts'
import { type RequestFile, writeRequests } from './requests.ts'
import { Site } from './site.ts'
import { runWrk } from './wrk.ts'

const LEVEL_OF = { 'ack-replicated': 'replicated', 'ack-ledger': 'ledger' } as const
type AckStep = keyof typeof LEVEL_OF
type Level = 'redis' | (typeof LEVEL_OF)[AckStep]
/** Beside those that are run when none is named. */
export const ACK_STEPS = Object.keys(LEVEL_OF) as AckStep[]

export interface AckOptions {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly steps: readonly AckStep[]
}

export interface AckSample extends Sample {
  readonly level: Level
  /** With as many purchases under way as there are connections. */
  readonly fullP50Ms: number
  readonly fullP99Ms: number
  /** At {@link PACED_PER_SECOND}. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly lateP99Ms: number
}

const WARM_UP_SECONDS = 3
/** More than any level sells, so that no buyer comes twice. */
const PER_SECOND_MAX = 50_000
export const PACED_PER_SECOND = 1000
const STOCK = 5_000_000

interface Run {
  readonly directory: string
  readonly secret: string
  readonly file: RequestFile
  readonly options: AckOptions
}

export async function measureAck(
  options: AckOptions,
  directory: string,
  say: (line: string) => void,
): Promise<{ readonly verdicts: readonly Verdict[]; readonly samples: readonly AckSample[] }> {
  const levels: Level[] = ['redis', ...options.steps.map((step) => LEVEL_OF[step])]
  const secret = randomBytes(32).toString('hex')
  const count = (WARM_UP_SECONDS + options.seconds) * PER_SECOND_MAX + options.seconds * PACED_PER_SECOND
  say(`signing ${count} tokens`)
  const file = await writeRequests(join(directory, 'requests-ack'), secret, count)
  const samples: AckSample[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    // Each comes first in its turn.
    const turn = [...levels.slice(round % levels.length), ...levels.slice(0, round % levels.length)]
    for (const level of turn) {
      const sample = await takeOne({ directory, secret, file, options }, level, say)
      if (sample === null) continue
      samples.push(sample)
      say(`${round + 1}/${options.rounds} ${lineOf(sample)}`)
      for (const fault of sample.faults) say(`  ${fault}`)
    }
  }
  return { verdicts: levels.flatMap((level) => judgeLevel(level, samples, options.rounds)), samples }
}

/** Null when it could not be taken; why is said, and its level fails for the missing sample. */
async function takeOne(run: Run, level: Level, say: (line: string) => void): Promise<AckSample | null> {
  try {
    return await takeSample(run, level)
  } catch (error) {
    if (error instanceof Interrupted) throw error
    say(`  ack: ${level}: no sample: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

async function takeSample({ directory, secret, file, options }: Run, level: Level): Promise<AckSample> {
  const ends: (() => Promise<void>)[] = []
  try {
    const site = await Site.start(directory, secret, {
      fsync: 'always',
      stock: STOCK,
      node: {},
      ...(level === 'redis' ? {} : { ack: level }),
      async beforeSale(stock, redis) {
        // Redis takes another replication id when the first replica comes: to Farebox a new life, to be recovered from.
        if (level === 'replicated') ends.push(await startReplica(directory, redis, stock))
      },
      async prepare(_stock, redis) {
        const ledger = await startLedger('postgres', { directory, secret, redisUrl: redis.url, ack: level })
        ends.push(() => ledger.stop())
      },
    })
    ends.push(() => site.stop())
    return await sell(site, level, file, options)
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}

async function sell(site: Site, level: Level, file: RequestFile, options: AckOptions): Promise<AckSample> {
  const { seconds, connections } = options
  const won = async (): Promise<number> => (await site.outcomes())['won'] ?? Number.NaN
  const warmUp = WARM_UP_SECONDS * PER_SECOND_MAX
  const load = { url: site.url, connections, file }
  await runWrk({ ...load, seconds: WARM_UP_SECONDS, first: 0, count: warmUp })
  const before = await won()
  const full = await runWrk({ ...load, seconds, first: warmUp, count: seconds * PER_SECOND_MAX })
  const perSecond = ((await won()) - before) / full.seconds
  const count = seconds * PACED_PER_SECOND
  const paced = await runPaced({ ...load, rate: PACED_PER_SECOND, first: file.count - count, count })
  const faults = [...(await site.faults(['won'])), ...wrkFaults(full, 'accepted'), ...pacedFaults(paced, count)]
  const { p50Ms, p99Ms, lateP99Ms } = paced
  return { level, perSecond, fullP50Ms: full.p50Ms, fullP99Ms: full.p99Ms, p50Ms, p99Ms, lateP99Ms, faults }
}

const FIGURES = [
  { name: 'purchases/s at most', read: ({ perSecond }: AckSample): number => perSecond },
  { name: `p50 at ${PACED_PER_SECOND}/s, ms`, read: ({ p50Ms }: AckSample): number => p50Ms },
  { name: `p99 at ${PACED_PER_SECOND}/s, ms`, read: ({ p99Ms }: AckSample): number => p99Ms },
] as const

/** The figures of a level, and beside each the median of its ratios to `redis` within the rounds. */
export function judgeLevel(level: Level, samples: readonly AckSample[], rounds: number): Verdict[] {
  const [own, base] = [level, 'redis'].map((name) => samples.filter((sample) => sample.level === name))
  const missing =
    own?.length === rounds && base?.length === rounds ? [] : [`not every one of ${rounds} rounds was taken`]
  const faults = [...missing, ...(own ?? []).flatMap((sample) => sample.faults)]
  return FIGURES.flatMap(({ name, read }) => {
    const values = (own ?? []).map(read)
    const figure = judgeValue({ name: `ack: ${level}: ${name}` }, median(values), faults)
    if (level === 'redis') return [figure]
    const ratios = values.map((value, at) => value / (base?.[at] === undefined ? Number.NaN : read(base[at])))
    return [figure, judgeValue({ name: `ack: ${level}: ${name}, against redis` }, median(ratios), faults)]
  })
}

function lineOf({ level, perSecond, p50Ms, p99Ms, lateP99Ms, fullP50Ms, fullP99Ms }: AckSample): string {
  const [p50, p99, late, fullP50, fullP99] = [p50Ms, p99Ms, lateP99Ms, fullP50Ms, fullP99Ms].map((ms) => ms.toFixed(1))
  const most = `${Math.round(perSecond)}/s at most (p50 ${fullP50}, p99 ${fullP99} ms)`
  return `ack: ${level}: ${most}; at ${PACED_PER_SECOND}/s p50 ${p50}, p99 ${p99} ms (sent up to ${late} late)`
}
