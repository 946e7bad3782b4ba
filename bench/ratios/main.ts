/** The ratio benchmark: `npm run bench -- ratios`. Pairs in turn, each sample from a fresh start. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { tokenSigner } from '../../http/sign-token.ts'
import { exitCode, judgePairs, judgeValue, median, type Pair, type Verdict, verdictLines } from '../report/verdicts.ts'
import { ALONE_PER_SECOND_MAX, ALONE_SECONDS, measureAlone } from './alone.ts'
import {
  answerShape,
  bare,
  BATCHED,
  type Contender,
  type Measured,
  type Plan,
  purchases,
  refusals,
} from './contenders.ts'
import { withBare, withSite } from './contenders.ts'
import { ACK_STEPS, type AckSample, measureAck } from './ack.ts'
import { Interrupted, killAll } from '../cluster/processes.ts'
import { buyerAt, keyAt, writeRequests } from './requests.ts'
import { judgeStore, measureStore } from './store.ts'

export interface RatioOptions {
  readonly pairs: number
  readonly seconds: number
  readonly connections: number
  /** Names of {@link STEPS}; empty for all. */
  readonly only: readonly string[]
  readonly strict: boolean
  readonly resultsDir: string
}

interface Duel {
  readonly bar: { readonly name: string; readonly atLeast?: number }
  readonly ours: Contender
  readonly theirs: Contender
}

const batchedOff = purchases('off', 'batched')
const batchedAlways = purchases('always', 'batched')
const DUELS: Readonly<Record<string, Duel>> = {
  'batch-pipelined': {
    bar: { name: 'purchases, AOF off: node against batch.maxItems 1 with autopipelining', atLeast: 1.6 },
    ours: batchedOff,
    theirs: purchases('off', 'single autopipelined'),
  },
  'batch-plain': {
    bar: { name: 'purchases, AOF off: node against batch.maxItems 1 without autopipelining', atLeast: 2 },
    ours: batchedOff,
    theirs: purchases('off', 'single'),
  },
  'batch-fsync': {
    bar: { name: 'purchases, both with fsync always: node against batch.maxItems 1 with autopipelining', atLeast: 1.4 },
    ours: batchedAlways,
    theirs: purchases('always', 'single autopipelined'),
  },
  'batch-fsync-off': {
    bar: { name: 'the other reading: node with fsync always against batch.maxItems 1, autopipelining, AOF off' },
    ours: batchedAlways,
    theirs: purchases('off', 'single autopipelined'),
  },
  'durable-bare': {
    bar: { name: 'durable purchases (fsync always) against a bare route', atLeast: 0.4 },
    ours: batchedAlways,
    theirs: bare('purchase'),
  },
  'refusals-bare': {
    bar: { name: 'refusals after zero (40,000 tokens, each seen before) against a bare route', atLeast: 0.85 },
    ours: refusals,
    theirs: bare('refusal'),
  },
}
/** What is run when none is named. */
const USUAL: readonly string[] = [...Object.keys(DUELS), 'alone', 'store']
export const STEPS: readonly string[] = [...USUAL, ...ACK_STEPS]

const WARM_UP_SECONDS = 3
/** More than any server here answers in a second, so that no token comes twice in a sample of purchases. */
const REQUESTS_PER_SECOND_MAX = 110_000

export async function runRatios(options: RatioOptions): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-bench-'))
  const end = (): never => {
    killAll()
    rmSync(directory, { recursive: true, force: true })
    process.exit(130)
  }
  process.once('SIGINT', end)
  process.once('SIGTERM', end)
  try {
    return await measure(options, directory)
  } finally {
    killAll()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(options: RatioOptions, directory: string): Promise<number> {
  const setting = describe(options)
  toStdout(JSON.stringify(setting))
  const { verdicts, samples } = await measureRatios(options, directory)
  toStdout(['', ...verdictLines(verdicts)].join('\n'))
  mkdirSync(options.resultsDir, { recursive: true })
  const path = join(options.resultsDir, `ratios-${setting.at.replaceAll(/[:.]/g, '-')}.json`)
  writeFileSync(path, `${JSON.stringify({ ...setting, verdicts, samples }, null, 2)}\n`)
  toStdout(`\nwritten to ${path}`)
  return exitCode(verdicts, options.strict)
}

export type RatioLength = Pick<RatioOptions, 'pairs' | 'seconds' | 'connections' | 'only'>

export async function measureRatios(
  options: RatioLength,
  directory: string,
  say: Say = toStdout,
): Promise<{ readonly verdicts: readonly Verdict[]; readonly samples: readonly (Measured | AckSample)[] }> {
  const steps = options.only.length === 0 ? USUAL : options.only
  const usual = steps.some((step) => USUAL.includes(step))
    ? await measureUsual(options, steps, directory, say)
    : NOTHING
  const ackSteps = ACK_STEPS.filter((step) => steps.includes(step))
  const { pairs: rounds, seconds, connections } = options
  const ack =
    ackSteps.length > 0 ? await measureAck({ rounds, seconds, connections, steps: ackSteps }, directory, say) : NOTHING
  return { verdicts: [...usual.verdicts, ...ack.verdicts], samples: [...usual.samples, ...ack.samples] }
}

const NOTHING = { verdicts: [], samples: [] } as const

async function measureUsual(
  options: RatioLength,
  steps: readonly string[],
  directory: string,
  say: Say,
): Promise<{ readonly verdicts: readonly Verdict[]; readonly samples: readonly Measured[] }> {
  const wants = (step: string): boolean => steps.includes(step)
  const plan = await makePlan(options, directory, say)
  const samples: Measured[] = []
  const verdicts: Verdict[] = [await sameAnswers(plan)]
  for (const [step, duel] of Object.entries(DUELS)) {
    if (wants(step)) verdicts.push(...(await runDuel(plan, step, duel, samples, say)))
  }
  if (wants('alone'))
    for (const fsync of ['always', 'off'] as const) verdicts.push(...(await measureAlone(plan, fsync, say)))
  if (wants('store')) verdicts.push(...judgeStore(await measureStore(directory)))
  return { verdicts, samples }
}

async function makePlan(options: RatioLength, directory: string, say: Say): Promise<Plan> {
  const { pairs, seconds, connections, only } = options
  const secret = randomBytes(32).toString('hex')
  const isDuel = only.length === 0 || only.some((step) => step in DUELS)
  const perSecond = isDuel ? REQUESTS_PER_SECOND_MAX : ALONE_PER_SECOND_MAX
  const warmUpCount = WARM_UP_SECONDS * perSecond
  const count = warmUpCount + Math.max(seconds, ALONE_SECONDS) * perSecond
  say(`signing ${count} tokens`)
  const file = await writeRequests(join(directory, 'requests'), secret, count)
  return { directory, secret, file, pairs, seconds, connections, warmUpSeconds: WARM_UP_SECONDS, warmUpCount }
}

/** The order alternates, so that neither always goes first. */
async function runDuel(plan: Plan, step: string, duel: Duel, samples: Measured[], say: Say): Promise<Verdict[]> {
  const pairs: Pair[] = []
  const calls: number[] = []
  for (let n = 0; n < plan.pairs; n += 1) {
    const first = n % 2 === 0 ? duel.ours : duel.theirs
    const second = n % 2 === 0 ? duel.theirs : duel.ours
    const taken = [await take(plan, first, say), await take(plan, second, say)] as const
    samples.push(...taken.filter((sample) => sample !== null))
    const [ours, theirs] = n % 2 === 0 ? taken : [taken[1], taken[0]]
    pairs.push({ ours, theirs })
    if (ours?.callsPerTicket !== undefined) calls.push(ours.callsPerTicket)
    const ratio = (ours?.perSecond ?? Number.NaN) / (theirs?.perSecond ?? Number.NaN)
    say(`${step} ${n + 1}/${plan.pairs}: ${rate(ours)} : ${rate(theirs)} = ${ratio.toFixed(3)}`)
  }
  const verdicts = [judgePairs(duel.bar, pairs, plan.pairs)]
  if (calls.length > 0) verdicts.push(judgeCalls(duel.ours.name, calls))
  return verdicts
}

function judgeCalls(who: string, calls: readonly number[]): Verdict {
  return judgeValue({ name: `script calls per ticket at saturation: ${who}`, atMost: 0.03 }, median(calls))
}

/** Null when it could not be taken; why is said, and the bar fails. */
async function take(plan: Plan, contender: Contender, say: Say): Promise<Measured | null> {
  try {
    const sample = await contender.run(plan)
    for (const fault of sample.faults) say(`  ${contender.name}: ${fault}`)
    return sample
  } catch (error) {
    if (error instanceof Interrupted) throw error
    say(`  ${contender.name}: no sample: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

function rate(sample: Measured | null): string {
  return sample === null ? 'none' : `${Math.round(sample.perSecond)}/s`
}

/** Statuses, header names, members and lengths of bodies must agree, or the ratios against the bare route mean nothing. */
async function sameAnswers(plan: Plan): Promise<Verdict> {
  const sign = tokenSigner(plan.secret, { issuer: null, audience: null })
  const shape = (url: string, n: number): Promise<string> =>
    answerShape(url, sign(buyerAt(n), Date.now() + 60_000), keyAt(n))
  const ours = await withSite(plan, { ...BATCHED, stock: 1 }, async ({ url }) => [
    await shape(url, 1),
    await shape(url, 2),
  ])
  const theirs = [
    await withBare(plan, 'purchase', (url) => shape(url, 1)),
    await withBare(plan, 'refusal', (url) => shape(url, 2)),
  ]
  const faults = ours.flatMap((text, at) => (text === theirs[at] ? [] : [`node: ${text}`, `bare: ${theirs[at]}`]))
  return judgeValue(
    { name: 'node and bare route answer alike (1: yes)', atLeast: 1 },
    faults.length === 0 ? 1 : 0,
    faults,
  )
}

function run(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}

function describe({ pairs, seconds, connections, only }: RatioOptions) {
  return {
    at: new Date().toISOString(),
    commit: run('git', 'rev-parse', 'HEAD') + (run('git', 'status', '--porcelain') === '' ? '' : ' (changed)'),
    machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, kernel: run('uname', '-r') },
    programs: { node: process.version, redis: run('redis-server', '--version') },
    settings: { pairs, seconds, connections, only, warmUpSeconds: WARM_UP_SECONDS, servers: 'core 0', load: 'core 1' },
  }
}

type Say = (line: string) => void

const toStdout: Say = (line) => void process.stdout.write(`${line}\n`)
