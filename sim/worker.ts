/** Runs seeds one after the other in a thread of its own and reports each as it ends. */
import { parentPort, workerData } from 'node:worker_threads'
import { type SimulatedSale, simulate } from './sale.ts'

export interface WorkerOrder {
  /** Seeds before those. */
  readonly first?: readonly number[]
  /** First seed; then every `step`-th. */
  readonly from: number
  readonly step: number
  /** Last seed; absent for as long as nobody ends this thread. */
  readonly to?: number
  readonly isTraced?: boolean
  /** Ends with the first seed that finds something. */
  readonly untilFound?: boolean
}

/** Of an error's stack, as far as a witness quotes it. */
const FRAMES_MAX = 3

/** A sale, as reported, or what the simulator itself stumbled over. */
export type WorkerReport = SimulatedSale | { readonly seed: number; readonly error: string }

async function runSeeds(order: WorkerOrder): Promise<void> {
  // A store that is away makes thousands of errors, and nobody reads where each was made.
  if (order.isTraced !== true) Error.stackTraceLimit = FRAMES_MAX
  for (const seed of seedsOf(order)) {
    const report: WorkerReport = await simulate(seed, order.isTraced).catch((error: unknown) => ({
      seed,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }))
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage(report)
    if (order.untilFound === true && ('error' in report || report.violations.length > 0)) return
  }
}

function* seedsOf({ first = [], from, step, to = Number.MAX_SAFE_INTEGER }: WorkerOrder): Generator<number> {
  yield* first
  for (let seed = from; seed <= to; seed += step) yield seed
}

void runSeeds(workerData as WorkerOrder)
