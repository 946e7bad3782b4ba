/** Runs a scenario by k6 and reads what it left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { pinned } from '../cluster/cores.ts'
import { track } from '../cluster/processes.ts'
import type { K6Report } from '../report/document.ts'

export interface K6Run {
  readonly root: string
  readonly k6: string
  readonly scenario: string
  /** The load's. */
  readonly cores: string | null
  readonly environment: Readonly<Record<string, string | number>>
  /** For the buyers' records. */
  readonly logPath: string
  readonly summaryPath: string
}

/** On latency alone; every other threshold is an invariant. */
const LATENCIES = ['winner_ms', 'refused_ms', 'http_req_duration']

export async function runK6(run: K6Run): Promise<K6Report> {
  const variables = Object.entries(run.environment).flatMap(([name, value]) => ['--env', `${name}=${value}`])
  const output = ['--console-output', run.logPath, '--summary-export', run.summaryPath]
  const quiet = ['--quiet', '--no-usage-report', '--no-color', '--log-format', 'raw']
  const script = join(run.root, 'bench', 'k6', 'scenarios', `${run.scenario}.ts`)
  const [program, args] = pinned(run.cores, run.k6, ['run', ...quiet, ...output, ...variables, script])
  const child = spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...seldomCollected(), ...process.env },
  })
  track(child)
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const [exitCode] = (await once(child, 'close')) as [number | null]
  try {
    return readSummary(readFileSync(run.summaryPath, 'utf8'), exitCode)
  } catch (cause) {
    throw new Error(`k6 ended with ${exitCode} and left no summary: ${errors.slice(-2000)}`, { cause })
  }
}

/**
 * Thousands of VUs are a large heap, and on one core every collection of it is a second in which nobody arrives and all
 * wait: Go is told to collect seldom, as long as half of the memory will do.
 */
function seldomCollected(): Record<string, string> {
  return { GOGC: '400', GOMEMLIMIT: `${Math.floor(totalmem() / 2 / 1024 ** 2)}MiB` }
}

interface Summary {
  readonly metrics: Readonly<
    Record<string, { readonly count?: number; readonly thresholds?: Readonly<Record<string, boolean>> }>
  >
}

/** In k6's export a threshold is true when it was crossed. */
export function readSummary(text: string, exitCode: number | null): K6Report {
  const { metrics } = JSON.parse(text) as Summary
  const crossed = Object.entries(metrics).flatMap(([name, { thresholds = {} }]) =>
    Object.entries(thresholds)
      .filter(([, isCrossed]) => isCrossed)
      .map(([rule]) => ({ isLatency: LATENCIES.includes(name), text: `${name} ${rule}` })),
  )
  const iterations = metrics['iterations']?.count
  return {
    exitCode,
    crossedInvariants: crossed.filter(({ isLatency }) => !isLatency).map(({ text: rule }) => rule),
    crossedLatencies: crossed.filter(({ isLatency }) => isLatency).map(({ text: rule }) => rule),
    // k6 leaves the metric out when nothing was dropped.
    droppedIterations: iterations === undefined ? null : (metrics['dropped_iterations']?.count ?? 0),
  }
}
