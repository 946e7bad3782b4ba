/**
 * How fast a backlog of events reaches the ledger: `npm run bench -- ledger`. The taking process has a core of its own;
 * PGlite runs within it, PostgreSQL on the other core. Every commit is synced to the disk.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startTestPostgres } from '../../orders/ledger/conformance/test-postgres.ts'
import { LOAD_CORE, output, SERVER_CORE } from '../cluster/processes.ts'
import { exitCode, judgeValue, median, type Verdict, verdictLines } from '../report/verdicts.ts'

const DRAIN = fileURLToPath(new URL('./drain.js', import.meta.url))

interface Drained {
  readonly tookMs: number
  /** Of the taking process, in which PGlite runs. */
  readonly cpuMs: number
}

export interface LedgerBenchOptions {
  readonly orders: number
  readonly rounds: number
  readonly strict: boolean
}

export async function runLedger(options: LedgerBenchOptions): Promise<number> {
  const verdicts = await measureDrain(options)
  process.stdout.write(`\n${verdictLines(verdicts).join('\n')}\n`)
  return exitCode(verdicts, options.strict)
}

export async function measureDrain(options: Omit<LedgerBenchOptions, 'strict'>): Promise<Verdict[]> {
  const pglite = await rates('PGlite', options, drainIntoPglite)
  const server = await startTestPostgres()
  execFileSync('taskset', ['-apc', String(SERVER_CORE), String(server.process().pid)], { stdio: 'ignore' })
  const postgres = await rates('PostgreSQL', options, async (orders) => drain(await server.database(), orders))
  await server.stop()
  const what = `orders a second, backlog of ${options.orders}, batches of 1,000, synced`
  return [
    judgeValue({ name: `PGlite: ${what}`, atLeast: 10_000 }, pglite),
    judgeValue({ name: `PostgreSQL: ${what}`, atLeast: 15_000 }, postgres),
  ]
}

/** The median of the rounds. */
async function rates(
  name: string,
  { orders, rounds }: Omit<LedgerBenchOptions, 'strict'>,
  run: (orders: number) => Promise<Drained>,
): Promise<number> {
  const found: number[] = []
  for (let round = 1; round <= rounds; round += 1) {
    const { tookMs, cpuMs } = await run(orders)
    found.push((orders / tookMs) * 1000)
    const parts = [`${Math.round(tookMs)} ms`, `${Math.round(cpuMs)} ms CPU`, `${Math.round(found.at(-1) ?? 0)}/s`]
    process.stdout.write(`${name} ${round}/${rounds}: ${parts.join(', ')}\n`)
  }
  return median(found)
}

async function drainIntoPglite(orders: number): Promise<Drained> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-bench-ledger-'))
  try {
    return await drain(`pglite://${directory}`, orders)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function drain(url: string, orders: number): Promise<Drained> {
  return JSON.parse(await output(LOAD_CORE, process.execPath, [DRAIN, url, String(orders)])) as Drained
}
