/** `npm run sim`: replays one seed, runs many, or looks whether planted bugs are found. See docs/simulation.md. */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { KeptRow } from './kept-row.ts'
import { runMutants } from './mutants/run.ts'
import { findingLines, Tally } from './tally.ts'
import { runThread } from './threads.ts'

const WORKER = new URL('./worker.js', import.meta.url)
const USAGE = `usage: npm run sim -- --seed N [--trace]
       npm run sim -- --seeds FROM..TO [--threads T] [--record]
       npm run sim -- --minutes M [--from SEED] [--threads T] [--record]
       npm run sim -- mutants [NAME…] [--threads T]
--record keeps a row in docs/simulation.md, which stays true while the run goes on.`

// Whoever reads the output may stop reading it (`| head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const OPTIONS = {
  seed: { type: 'string' },
  seeds: { type: 'string' },
  minutes: { type: 'string' },
  from: { type: 'string' },
  threads: { type: 'string' },
  trace: { type: 'boolean' },
  record: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

class UsageError extends Error {
  override readonly name = 'UsageError'
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS })
  if (values.help === true) {
    say(USAGE)
    return 0
  }
  const threads = wholeNumber(values.threads, availableParallelism())
  const kept = values.record === true ? new KeptRow(join('docs', 'simulation.md')) : null
  if (positionals[0] === 'mutants') return runMutants(positionals.slice(1), threads, say)
  if (values.seed !== undefined) return replay(wholeNumber(values.seed, 0), values.trace === true)
  if (values.seeds !== undefined) {
    const [from, to] = values.seeds.split('..')
    return runMany({
      from: wholeNumber(from, 1),
      to: wholeNumber(to, 1),
      forMs: Number.POSITIVE_INFINITY,
      threads,
      kept,
    })
  }
  if (values.minutes !== undefined) {
    const from = wholeNumber(values.from, 1)
    return runMany({ from, to: Number.MAX_SAFE_INTEGER, forMs: minutesMs(values.minutes), threads, kept })
  }
  throw new UsageError(positionals.length === 0 ? 'nothing is asked for' : `${positionals[0]}: there is only mutants`)
}

function minutesMs(text: string): number {
  const minutes = Number(text)
  if (!(minutes > 0)) throw new UsageError(`--minutes ${text}: more than nothing is expected`)
  return minutes * 60_000
}

function wholeNumber(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) throw new UsageError(`${text} is no whole number`)
  return number
}

/** The same seed twice: what it finds, and whether both runs were the same. */
async function replay(seed: number, isTraced: boolean): Promise<number> {
  const hashes: string[] = []
  const tally = new Tally()
  for (const round of [0, 1]) {
    await runThread(WORKER, { from: seed, step: 1, to: seed, isTraced: isTraced && round === 0 }, (report) => {
      if ('error' in report) say(report.error)
      else {
        hashes.push(report.hash)
        for (const line of report.trace) say(line)
      }
      if (round === 0) tally.add(report)
      return true
    })
  }
  for (const finding of tally.findings) for (const line of findingLines(finding)) say(line)
  const isSame = hashes.length === 2 && hashes[0] === hashes[1]
  say(`trace hash: ${hashes.join(' and ')}${isSame ? '' : ': the runs differ'}`)
  for (const line of tally.lines({ elapsedMs: 1, processorMs: 1, threads: 1 }).slice(2)) say(line)
  return tally.findings.length > 0 || !isSame ? 1 : 0
}

interface ManySales {
  readonly from: number
  readonly to: number
  readonly forMs: number
  readonly threads: number
  readonly kept: KeptRow | null
}

async function runMany({ from, to, forMs, threads, kept }: ManySales): Promise<number> {
  const startedMs = performance.now()
  const tally = new Tally()
  let nextLineMs = startedMs + 10_000
  await Promise.all(
    Array.from({ length: Math.min(threads, to - from + 1) }, (_, index) =>
      runThread(WORKER, { from: from + index, step: threads, to }, (report) => {
        const before = tally.findings.length
        tally.add(report)
        for (const finding of tally.findings.slice(before)) for (const line of findingLines(finding)) say(line)
        const nowMs = performance.now()
        if (nowMs > nextLineMs) {
          nextLineMs = nowMs + 10_000
          say(`… ${tally.sales} sales, seed ${report.seed}, ${tally.findings.length} with violations`)
          kept?.write(tally.cells(from, processorMs()))
        }
        return nowMs - startedMs < forMs
      }),
    ),
  )
  const duration = { elapsedMs: performance.now() - startedMs, processorMs: processorMs(), threads }
  for (const line of tally.lines(duration)) say(line)
  kept?.write(tally.cells(from, duration.processorMs))
  return tally.findings.length > 0 ? 1 : 0
}

/** Of the whole process: what its threads leave to the compiler and the collector counts as well. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

try {
  process.exitCode = await main()
} catch (error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (!(error instanceof UsageError) && !code.startsWith('ERR_PARSE_ARGS')) throw error
  process.stderr.write(`sim: ${(error as Error).message}\n${USAGE}\n`)
  process.exitCode = 2
}
