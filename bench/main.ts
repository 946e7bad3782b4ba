/** `npm run bench -- [CHOICE] [options]`. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runKeepUp } from './ledger/keep-up.ts'
import { runLedger } from './ledger/main.ts'
import { LEDGERS, type LedgerKind } from './ledger/orders-process.ts'
import { runStopped } from './ledger/stopped.ts'
import { runOpening } from './opening/main.ts'
import { askMicro, microLines, QUESTIONS } from './micro/main.ts'
import { runRatios, STEPS as RATIO_STEPS } from './ratios/main.ts'
import { exitCodeOf } from './report/judge.ts'
import { loadDocument, writeReport } from './report/files.ts'
import { runRush } from './rush/main.ts'
import { runSet } from './set/main.ts'
import { SETS, STEPS, stepsOf } from './set/sets.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const HELP = `npm run bench -- [set [${Object.keys(SETS).join('|')}]] [--only STEP,STEP] [--scale 1] [--rounds 3] [--seconds 5]
                [--connections 256] [--k6 PATH] [--out DIR] [--strict]
  A set of runs, one report (report.html, document.json) and one verdict. Without a choice: set standard.
  --scale multiplies buyers and tickets of the scenarios; --rounds and --seconds are those of what is compared.
  Leave the machine alone meanwhile. A bar that is not reached is an error only with --strict; a promise that does not
  hold, and anything that is missing, always is.
  Steps:
${STEPS.map(({ name, about }) => `    ${name.padEnd(22)} ${about}`).join('\n')}

npm run bench -- report PATH
  Judges once more what a set left (its directory, or document.json), and writes report.html anew.

npm run bench -- ratios [--pairs 7] [--seconds 10] [--connections 256] [--only STEP,STEP] [--strict]
  The node against itself without batches, against a bare HTTP route, and what a ticket costs Redis: interleaved
  pairs, servers on core 0, load (wrk) on core 1. About 25 minutes; leave the machine alone meanwhile.
  Steps: ${RATIO_STEPS.join(', ')}.

npm run bench -- rush [--buyers 30000] [--stock 10000] [--nodes 4] [--seconds 20] [--k6 PATH]
  A cluster by "farebox up" and everybody at the opening second (k6): the exact sale is the threshold, then the audit.

npm run bench -- opening [--nodes 4] [--rounds 3] [--strict]
  The first purchase at each node, and through nginx, after a scheduled opening of a fleet that has just started, against
  the median of the next thousand: at most twice as long.

npm run bench -- micro [--seconds 1] [--only QUESTION,QUESTION]
  What the parts of a purchase cost, each alone. Questions: ${QUESTIONS.map(({ name }) => name).join(', ')}.

npm run bench -- ledger [--orders 100000] [--rounds 3] [--strict]
  How fast a backlog of orders reaches the ledger, on PGlite and on a PostgreSQL server of its own.

npm run bench -- ledger-stopped [--ledger pglite|postgres] [--pairs 7] [--seconds 10] [--rate 3000] [--strict]
  What a buyer waits with the ledger stopped (kill -9 of the orders process, or of PostgreSQL) against with it running:
  p99 at a fixed rate of purchases, interleaved pairs. Node and Redis on core 0, load and ledger on core 1.

npm run bench -- ledger-keeps-up [--ledger pglite|postgres] [--seconds 60] [--rate 3000] [--strict]
  One node sells at a fixed rate while the ledger takes the orders in: how far that is behind, over time.

npm run bench -- help
  This text.
`

const OPTIONS = {
  pairs: { type: 'string', default: '7' },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string' },
  scale: { type: 'string', default: '1' },
  connections: { type: 'string', default: '256' },
  only: { type: 'string', default: '' },
  strict: { type: 'boolean', default: false },
  buyers: { type: 'string', default: '30000' },
  stock: { type: 'string', default: '10000' },
  nodes: { type: 'string', default: '4' },
  orders: { type: 'string', default: '100000' },
  ledger: { type: 'string', default: 'pglite' },
  rate: { type: 'string', default: '3000' },
  k6: { type: 'string' },
  out: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

class UsageError extends Error {
  override readonly name = 'UsageError'
}

const CHOICES: Readonly<Record<string, (rest: readonly string[], values: Values) => Promise<number>>> = {
  set: chooseSet,
  report: chooseReport,
  ratios: chooseRatios,
  rush: chooseRush,
  opening: chooseOpening,
  micro: chooseMicro,
  ledger: chooseLedger,
  'ledger-stopped': chooseStopped,
  'ledger-keeps-up': chooseKeepUp,
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS })
  const [choice = 'set', ...rest] = positionals
  if (values.help || choice === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  const chosen = CHOICES[choice]
  if (chosen === undefined) throw new UsageError(`${choice}: there are ${Object.keys(CHOICES).join(', ')}`)
  return chosen(rest, values)
}

async function chooseSet([set = 'standard', ...rest]: readonly string[], values: Values): Promise<number> {
  none(rest)
  const only = namesOf(
    values.only,
    STEPS.map(({ name }) => name),
  )
  const names = only.length > 0 ? only : SETS[set]
  if (names === undefined) throw new UsageError(`set ${set}: there are ${Object.keys(SETS).join(', ')}`)
  const scale = Number(values.scale)
  if (!(scale > 0 && scale <= 100)) throw new UsageError(`--scale ${values.scale}: above 0, at most 100`)
  return runSet({
    root: ROOT,
    k6: k6Of(values),
    resultsDir: values.out ?? `${ROOT}/bench/results`,
    set: only.length > 0 ? 'chosen' : set,
    steps: stepsOf(names),
    scale,
    rounds: whole('rounds', values.rounds),
    seconds: whole('seconds', values.seconds ?? '5'),
    connections: whole('connections', values.connections),
    strict: values.strict,
  })
}

async function chooseReport([path, ...rest]: readonly string[], { strict }: Values): Promise<number> {
  none(rest)
  if (path === undefined) throw new UsageError('report: say the directory of a set')
  const { document, resultsDir } = loadDocument(path)
  const { judgement, reportPath } = writeReport(ROOT, resultsDir, document)
  const lines = [judgement.verdict, ...judgement.reasons.map((reason) => `  ${reason}`), `report: ${reportPath}`]
  process.stdout.write(`${lines.join('\n')}\n`)
  return exitCodeOf(judgement, strict)
}

async function chooseRatios(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  return runRatios({
    pairs: whole('pairs', values.pairs),
    seconds: whole('seconds', values.seconds ?? '10'),
    connections: whole('connections', values.connections),
    only: namesOf(values.only, RATIO_STEPS),
    strict: values.strict,
    resultsDir: values.out ?? `${ROOT}/bench/results`,
  })
}

async function chooseRush(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  return runRush({
    root: ROOT,
    k6: k6Of(values),
    buyers: whole('buyers', values.buyers),
    stock: whole('stock', values.stock),
    nodes: whole('nodes', values.nodes),
    seconds: whole('seconds', values.seconds ?? '20'),
    resultsDir: values.out ?? `${ROOT}/bench/results`,
  })
}

async function chooseOpening(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  const [nodes, rounds] = [whole('nodes', values.nodes), whole('rounds', values.rounds)]
  return runOpening({ root: ROOT, nodes, rounds, strict: values.strict })
}

async function chooseMicro(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  const names = QUESTIONS.map(({ name }) => name)
  const only = namesOf(values.only, names)
  const questions = QUESTIONS.filter(({ name }) => only.length === 0 || only.includes(name))
  const answers = await askMicro(questions, whole('seconds', values.seconds ?? '1') * 1000)
  process.stdout.write(`${microLines(answers).join('\n')}\n`)
  return answers.some(({ fault }) => fault !== null) ? 1 : 0
}

async function chooseLedger(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  const [orders, rounds] = [whole('orders', values.orders), whole('rounds', values.rounds)]
  return runLedger({ orders, rounds, strict: values.strict })
}

async function chooseStopped(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  const [pairs, seconds] = [whole('pairs', values.pairs), whole('seconds', values.seconds ?? '10')]
  return runStopped({ ...pacedOf(values), pairs, seconds })
}

async function chooseKeepUp(rest: readonly string[], values: Values): Promise<number> {
  none(rest)
  return runKeepUp({ ...pacedOf(values), seconds: whole('seconds', values.seconds ?? '60') })
}

function pacedOf({ ledger, rate, strict }: Values): { kind: LedgerKind; rate: number; strict: boolean } {
  const kind = LEDGERS.find((one) => one === ledger)
  if (kind === undefined) throw new UsageError(`--ledger ${ledger}: there are ${LEDGERS.join(', ')}`)
  return { kind, rate: whole('rate', rate), strict }
}

function none(rest: readonly string[]): void {
  if (rest.length > 0) throw new UsageError(`${rest.join(' ')}: one choice at a time`)
}

function whole(name: string, text: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1) throw new UsageError(`--${name} ${text}: a whole number of at least 1 is expected`)
  return value
}

function namesOf(text: string, known: readonly string[]): string[] {
  const names = text.split(',').filter(Boolean)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(',')}: there are ${known.join(', ')}`)
  return names
}

function k6Of({ k6 }: Values): string {
  return k6 ?? process.env['K6_BIN'] ?? 'k6'
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true
  if (!isUsage) throw error
  process.stderr.write(`bench: ${(error as Error).message}\n\n${HELP}`)
  process.exitCode = 2
}
