/** One node that sells at a fixed rate, its Redis with fsync on every write, and a ledger beside it. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { killAll } from '../cluster/processes.ts'
import { runPaced, type PacedSummary } from '../paced/run.ts'
import { type RequestFile, writeRequests } from '../ratios/requests.ts'
import { Site } from '../ratios/site.ts'
import { type BenchLedger, type LedgerKind, startLedger } from './orders-process.ts'

const WARM_UP_SECONDS = 3
const CONNECTIONS = 256

export interface PacedPlan {
  readonly directory: string
  readonly secret: string
  readonly file: RequestFile
  readonly rate: number
  readonly seconds: number
  readonly kind: LedgerKind
}

export interface PacedStage {
  readonly site: Site
  readonly ledger: BenchLedger
  /** Sold by the time that all load has ended. */
  readonly total: number
  /** Purchases that `sell` sends. */
  readonly count: number
  /** Sells for the plan's seconds; once. */
  readonly sell: () => Promise<PacedSummary>
}

/** Makes the requests, runs the work and leaves nothing behind, whatever becomes of it. */
export async function withPlan<T>(
  options: { readonly rate: number; readonly seconds: number; readonly kind: LedgerKind },
  work: (plan: PacedPlan) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-bench-'))
  const end = (): void => {
    killAll()
    rmSync(directory, { recursive: true, force: true })
  }
  const interrupted = (): never => {
    end()
    process.exit(130)
  }
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    const secret = randomBytes(32).toString('hex')
    const count = (WARM_UP_SECONDS + options.seconds) * options.rate
    const file = await writeRequests(join(directory, 'requests'), secret, count)
    return await work({ ...options, directory, secret, file })
  } finally {
    end()
    process.removeListener('SIGINT', interrupted)
    process.removeListener('SIGTERM', interrupted)
  }
}

/** All is fresh, and warm: the first purchases were sold, and are in the ledger. */
export async function withStage<T>(plan: PacedPlan, work: (stage: PacedStage) => Promise<T>): Promise<T> {
  const { directory, secret, file, rate, seconds, kind } = plan
  const site = await Site.start(directory, secret, { fsync: 'always', stock: 5_000_000, node: {} })
  try {
    const ledger = await startLedger(kind, { directory, secret, redisUrl: site.redis.url })
    try {
      const load = { url: site.url, file, rate, connections: CONNECTIONS }
      const warmUp = WARM_UP_SECONDS * rate
      await runPaced({ ...load, first: 0, count: warmUp })
      await drained(ledger, warmUp)
      const count = seconds * rate
      const sell = (): Promise<PacedSummary> => runPaced({ ...load, first: warmUp, count })
      return await work({ site, ledger, total: warmUp + count, count, sell })
    } finally {
      await ledger.stop()
    }
  } finally {
    await site.stop()
  }
}

const DRAINED_WITHIN_MS = 30_000

/** Waits until so many orders are in the ledger; returns how long it took. Rejects when it takes too long. */
export async function drained(ledger: BenchLedger, orders: number): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const { taken } = await ledger.level()
    const tookMs = performance.now() - startMs
    if (taken === orders) return tookMs
    if (tookMs > DRAINED_WITHIN_MS) throw new Error(`${taken} of ${orders} orders are in the ledger after ${tookMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
