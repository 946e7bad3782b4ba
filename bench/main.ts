/** `npm run bench -- [CHOICE] [options]`. */
import { fileURLToPath } from 'node:url'
import { runAll } from './ledger/all.ts'
import { runKeepUp } from './ledger/keep-up.ts'
import { runLedger } from './ledger/main.ts'
import { LEDGERS, type LedgerKind } from './ledger/orders-process.ts'
import { runStopped } from './ledger/stopped.ts'
import { runOpening } from './opening/main.ts'
import { askMicro, microLines, QUESTIONS } from './micro/main.ts'
import { type BenchOptions, readOptions, UsageError } from './options.ts'
import { runRatios, STEPS as RATIO_STEPS } from './ratios/main.ts'
import { exitCodeOf } from './report/judge.ts'
import { loadDocument, writeReport } from './report/files.ts'
import { writeTable } from './report/table.ts'
import { runRush } from './rush/main.ts'
import { runSet } from './set/main.ts'
import { FULL, QUICK, SETS, STEPS, stepsOf } from './set/sets.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HELP = `npm run bench -- [set [${Object.keys(SETS).join('|')}]] [--quick] [--only STEP,STEP] [--scale ${FULL.scale}] [--rounds ${FULL.rounds}]
                [--seconds ${FULL.seconds}] [--connections ${FULL.connections}] [--k6 PATH] [--out DIR] [--strict]
  A set of runs, one report (report.html, document.json) and one verdict. Without a choice: set full, about ${minutesOf(false)} minutes
  on two cores. How long it will take is told before it begins.
  --quick runs every step as small as it can be, about ${minutesOf(true)} minutes: it shows that all of it works, and its report says
  that its figures are none.
  --scale multiplies buyers and tickets of the scenarios; --rounds and --seconds are those of what is compared.
  Leave the machine alone meanwhile. A bar that is not reached is an error only with --strict; a promise that does not
  hold, and anything that is missing, always is.
  Steps:
${STEPS.map(({ name, about }) => `    ${name.padEnd(22)} ${about}`).join('\n')}

npm run bench -- report PATH
  Judges once more what a set left (its directory, or document.json), and writes report.html anew.

npm run bench -- table [PATH]
  Keeps the figures of a whole set in docs/numbers.json and writes README's table of them; without PATH the table alone. Of a
  quick trial nothing is kept; what is missing stands there as FAIL, and is an error.

npm run bench -- ratios [--pairs 7] [--seconds 10] [--connections 256] [--only STEP,STEP] [--strict]
  The node against itself without batches, against a bare HTTP route, and what a ticket costs Redis: interleaved
  pairs, servers on core 0, load (wrk) on core 1. About 25 minutes; leave the machine alone meanwhile.
  Steps: ${RATIO_STEPS.join(', ')}.
  Those of ack are run only when they are named, 12 minutes for both: what each level costs against ack: redis.

npm run bench -- rush [--buyers 30000] [--stock 10000] [--nodes 4] [--seconds 20] [--k6 PATH]
  A cluster by "farebox up" and everybody at the opening second (k6): the exact sale is the threshold, then the audit.

npm run bench -- opening [--nodes 4] [--rounds 3] [--strict]
  The first purchase at each node, and through nginx, after a scheduled opening of a fleet that has just started, against
  the median of the next thousand: at most twice as long.

npm run bench -- micro [--seconds 1] [--only QUESTION,QUESTION]
  What the parts of a purchase cost, each alone. Questions: ${QUESTIONS.map(({ name }) => name).join(', ')}.

npm run bench -- ledger [--all] [--orders 100000] [--rounds 3] [--strict]
  How fast a backlog of orders reaches the ledger, on PGlite and on a PostgreSQL server of its own.
  --all adds the two below on both databases, with --pairs, --seconds and --rate, and prints one table: 15 minutes.

npm run bench -- ledger-stopped [--ledger pglite|postgres] [--pairs 7] [--seconds 10] [--rate 3000] [--strict]
  What a buyer waits with the ledger stopped (kill -9 of the orders process, or of PostgreSQL) against with it running:
  p99 at a fixed rate of purchases, interleaved pairs. Node and Redis on core 0, load and ledger on core 1.

npm run bench -- ledger-keeps-up [--ledger pglite|postgres] [--seconds 60] [--rate 3000] [--strict]
  One node sells at a fixed rate while the ledger takes the orders in: how far that is behind, over time.

npm run bench -- help
  This text.
`

/** Of the whole set. */
function minutesOf(isQuick: boolean): number {
  const length = { ...(isQuick ? QUICK : FULL), isQuick }
  return Math.round(STEPS.reduce((sum, step) => sum + step.takes(length), 0) / 60)
}

const CHOICES: Readonly<Record<string, (rest: readonly string[], options: BenchOptions) => Promise<number>>> = {
  set: chooseSet,
  report: chooseReport,
  table: chooseTable,
  ratios: chooseRatios,
  rush: chooseRush,
  opening: chooseOpening,
  micro: chooseMicro,
  ledger: chooseLedger,
  'ledger-stopped': chooseStopped,
  'ledger-keeps-up': chooseKeepUp,
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  const [choice = 'set', ...rest] = options.words
  if (options.help || choice === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  const chosen = CHOICES[choice]
  if (chosen === undefined) throw new UsageError(`${choice}: there are ${Object.keys(CHOICES).join(', ')}`)
  return chosen(rest, options)
}

async function chooseSet([set = 'full', ...rest]: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  const only = options.only(STEPS.map(({ name }) => name))
  const names = only.length > 0 ? only : SETS[set]
  if (names === undefined) throw new UsageError(`set ${set}: there are ${Object.keys(SETS).join(', ')}`)
  const { quick, strict } = options
  const usual = quick ? QUICK : FULL
  return runSet({
    root: ROOT,
    k6: k6Of(options),
    resultsDir: resultsDirOf(options),
    set: only.length > 0 ? 'chosen' : set,
    steps: stepsOf(names),
    isQuick: quick,
    scale: options.scale(usual.scale),
    rounds: options.number('rounds', usual.rounds),
    seconds: options.number('seconds', usual.seconds),
    connections: options.number('connections', usual.connections),
    strict,
  })
}

async function chooseReport([path, ...rest]: readonly string[], { strict }: BenchOptions): Promise<number> {
  none(rest)
  if (path === undefined) throw new UsageError('report: say the directory of a set')
  const { document, resultsDir } = loadDocument(path)
  const { judgement, reportPath } = writeReport(ROOT, resultsDir, document)
  const lines = [judgement.verdict, ...judgement.reasons.map((reason) => `  ${reason}`), `report: ${reportPath}`]
  process.stdout.write(`${lines.join('\n')}\n`)
  return exitCodeOf(judgement, strict)
}

async function chooseTable([path, ...rest]: readonly string[]): Promise<number> {
  none(rest)
  return writeTable(ROOT, path ?? null, SETS['full'] ?? [])
}

async function chooseRatios(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  return runRatios({
    pairs: options.number('pairs'),
    seconds: options.number('seconds', 10),
    connections: options.number('connections', 256),
    only: options.only(RATIO_STEPS),
    strict: options.strict,
    resultsDir: resultsDirOf(options),
  })
}

async function chooseRush(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  return runRush({
    root: ROOT,
    k6: k6Of(options),
    buyers: options.number('buyers'),
    stock: options.number('stock'),
    nodes: options.number('nodes'),
    seconds: options.number('seconds', 20),
    resultsDir: resultsDirOf(options),
  })
}

async function chooseOpening(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  const { strict } = options
  return runOpening({ root: ROOT, nodes: options.number('nodes'), rounds: options.number('rounds', 3), strict })
}

async function chooseMicro(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  const only = options.only(QUESTIONS.map(({ name }) => name))
  const questions = QUESTIONS.filter(({ name }) => only.length === 0 || only.includes(name))
  const answers = await askMicro(questions, options.number('seconds', 1) * 1000)
  process.stdout.write(`${microLines(answers).join('\n')}\n`)
  return answers.some(({ fault }) => fault !== null) ? 1 : 0
}

async function chooseLedger(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  const { strict, all } = options
  const [orders, rounds] = [options.number('orders'), options.number('rounds', 3)]
  if (!all) return runLedger({ orders, rounds, strict })
  return runAll({
    orders,
    rounds,
    pairs: options.number('pairs'),
    rate: options.number('rate'),
    pairSeconds: options.number('seconds', 10),
    keepUpSeconds: options.number('seconds', 60),
    strict,
  })
}

async function chooseStopped(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  const [pairs, seconds] = [options.number('pairs'), options.number('seconds', 10)]
  return runStopped({ ...pacedOf(options), pairs, seconds })
}

async function chooseKeepUp(rest: readonly string[], options: BenchOptions): Promise<number> {
  none(rest)
  return runKeepUp({ ...pacedOf(options), seconds: options.number('seconds', 60) })
}

function pacedOf(options: BenchOptions): { kind: LedgerKind; rate: number; strict: boolean } {
  const { ledger, strict } = options
  const kind = LEDGERS.find((one) => one === ledger)
  if (kind === undefined) throw new UsageError(`--ledger ${ledger}: there are ${LEDGERS.join(', ')}`)
  return { kind, rate: options.number('rate'), strict }
}

function none(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`${rest.join(' ')}: one choice at a time`)
}

function k6Of({ k6 }: BenchOptions): string {
  return k6 ?? process.env['K6_BIN'] ?? 'k6'
}

function resultsDirOf({ out }: BenchOptions): string {
  return out ?? `${ROOT}/bench/results`
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`bench: ${error.message}\n\n${HELP}`)
  process.exitCode = 2
}
