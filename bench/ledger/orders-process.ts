/** One orders process beside a bench's node, and the database that is its ledger. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LOAD_CORE, start, type Started, until } from '../cluster/processes.ts'
import { freePort } from '../../runtime/free-ports.ts'
import { SALE } from '../ratios/requests.ts'
import { startTestPostgres } from '../../orders/ledger/conformance/test-postgres.ts'

const CLI = fileURLToPath(new URL('../../coordinator/cli/main.js', import.meta.url))
const READY_WITHIN_MS = 60_000

export const LEDGERS = ['pglite', 'postgres'] as const
export type LedgerKind = (typeof LEDGERS)[number]

/** What an orders process says of its work. */
export interface LedgerLevel {
  /** Orders that it brought into the ledger. */
  readonly taken: number
  /** Age of the oldest order read and not taken in. */
  readonly lagMs: number
}

export interface BenchLedger {
  readonly kind: LedgerKind
  level(): Promise<LedgerLevel>
  /** kill -9: of the orders process, in which PGlite runs, or of the PostgreSQL server, while the process goes on. */
  kill(): Promise<void>
  stop(): Promise<void>
}

export interface BenchLedgerSettings {
  readonly directory: string
  readonly secret: string
  readonly redisUrl: string
  /** As the node has it: processes of one fleet agree on it, or do not start. */
  readonly ack?: string
}

/**
 * On the load's core: a production machine has more than two, and there the everyday path takes none of the rush
 * path's. Resolves when the process knows the sale.
 */
export async function startLedger(kind: LedgerKind, settings: BenchLedgerSettings): Promise<BenchLedger> {
  const own = mkdtempSync(join(settings.directory, 'orders-'))
  const server = kind === 'postgres' ? await startTestPostgres() : null
  if (server !== null) pin(server.process().pid ?? 0)
  const ledgerUrl = server === null ? `pglite://${join(own, 'ledger')}` : await server.database()
  const { adminUrl, started } = await startOrders(own, ledgerUrl, settings)
  const level = async (): Promise<LedgerLevel> => levelOf(await (await fetch(`${adminUrl}/metrics`)).text())
  await until('the orders process (see orders.log)', READY_WITHIN_MS, async () => {
    return (await fetch(`${adminUrl}/readyz`)).ok && Number.isFinite((await level()).lagMs)
  })
  return {
    kind,
    level,
    async kill() {
      if (server === null) await started.stop('SIGKILL')
      else server.process().kill('SIGKILL')
    },
    async stop() {
      await started.stop()
      await server?.stop()
      rmSync(own, { recursive: true, force: true })
    },
  }
}

async function startOrders(
  own: string,
  ledgerUrl: string,
  { directory, secret, redisUrl, ack = 'redis' }: BenchLedgerSettings,
): Promise<{ readonly adminUrl: string; readonly started: Started }> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const started = start({
    core: LOAD_CORE,
    program: process.execPath,
    args: [CLI, 'run', 'orders', '--id', 'o1', '--dir', directory],
    environment: {
      FAREBOX_ACK: ack,
      FAREBOX_REDIS_URL: redisUrl,
      FAREBOX_LEDGER_URL: ledgerUrl,
      FAREBOX_IDENTITY_SECRET: secret,
      FAREBOX_PAYMENT_SANDBOX_SECRET: secret,
      FAREBOX_ORDERS_PORT: String(port),
      FAREBOX_ORDERS_ADMIN_PORT: String(adminPort),
    },
    logPath: join(own, '..', 'orders.log'),
  })
  return { adminUrl: `http://127.0.0.1:${adminPort}`, started }
}

/** With all the threads and processes that it has by now; those to come inherit it. */
function pin(pid: number): void {
  execFileSync('taskset', ['-apc', String(LOAD_CORE), String(pid)], { stdio: 'ignore' })
}

export function levelOf(metrics: string): LedgerLevel {
  const number = (pattern: RegExp): number => Number(pattern.exec(metrics)?.[1] ?? Number.NaN)
  return {
    taken: number(/^farebox_orders_taken_total (\d+)$/m),
    lagMs: number(new RegExp(`^farebox_orders_lag_ms\\{sale="${SALE}"\\} ([\\d.e+-]+)$`, 'm')),
  }
}
