/** The coordinator's process: the rounds, the admin API, and how it ends. */
import { mkdir } from 'node:fs/promises'
import type { QuotaRules } from '../../stock/core/words.ts'
import type { StockPort } from '../../stock/port.ts'
import { systemClock } from '../../runtime/clock.ts'
import { Metrics } from '../../runtime/metrics.ts'
import { toldAsker } from '../../http/node-journal.ts'
import { nodeAsker } from '../../http/node-report.ts'
import { ordersDoor } from '../operations/orders-door.ts'
import { realWorld } from '../operations/world.ts'
import { failure, type AdminAnswer, type AdminRequest } from '../../http/admin-server.ts'
import { answerAdmin } from './admin-routes.ts'
import { startAdminServer } from '../../http/admin-server.ts'
import { ensureAdminTokens } from '../../http/admin-token.ts'
import { Cycle } from './cycle.ts'
import { openEraBook } from './eras.ts'
import { journaled, openJournal } from './journal.ts'
import { Leadership } from './leadership.ts'
import { NO_LOAD_BALANCER, type LoadBalancer } from './load-balancer.ts'
import type { Log } from '../../runtime/log.ts'
import { startRounds } from '../../runtime/rounds.ts'
import { SaleWatch } from './sale-watch.ts'

export interface CoordinatorOptions {
  readonly id: string
  /** The cluster's directory: era book, admin token. */
  readonly directory: string
  readonly host?: string
  /** 0 takes a free one. */
  readonly adminPort: number
  readonly port: StockPort
  readonly rules: QuotaRules
  readonly loadBalancer?: LoadBalancer
  /** `redis.durable: true`. */
  readonly declaredDurable: boolean
  readonly log: Log
  readonly everyMs?: number
  readonly share?: 'weight' | 'demand'
  /** PEM texts for the admin port. */
  readonly tls?: { readonly cert: string; readonly key: string } | null
}

export interface Coordinator {
  readonly adminUrl: string
  /** Stops acting, gives the lease back. The port is the caller's to close. */
  stop(): Promise<void>
}

/** What orders processes did is told within about this. */
const SALES_EVERY_MS = 1000

type Answer = (request: AdminRequest) => Promise<AdminAnswer>
const answerStarting: Answer = async () =>
  failure({ code: 'not_ready', message: 'the coordinator is starting: try again in a moment', details: null }, 503)
const never = (): boolean => false

export async function runCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { id, directory, port, rules, declaredDurable } = options
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const { operator: token, viewer: viewerToken } = await ensureAdminTokens(directory)
  const journal = openJournal(directory, id, () => systemClock.nowMs())
  const log = journaled(options.log, journal)
  const eras = await openEraBook(directory)
  const world = realWorld({
    port,
    rules,
    askNode: nodeAsker(token),
    askTold: toldAsker(token),
    orders: ordersDoor(port.fleet, token),
  })
  const { monotonicMs } = world

  // The admin address is part of the lease, so the server listens before there is anything to answer.
  let answer = answerStarting
  let isReady = never
  const metrics = new Metrics()
  const server = await startAdminServer({
    name: `coordinator ${id}`,
    host: options.host ?? '127.0.0.1',
    port: options.adminPort,
    token,
    viewerToken,
    tls: options.tls ?? null,
    answer: (request) => answer(request),
    isReady: () => isReady(),
    metrics: () => metrics.scrape(),
    log,
  })

  const leadership = new Leadership(port.fleet, { id, adminUrl: server.url }, monotonicMs)
  const loadBalancer = options.loadBalancer ?? NO_LOAD_BALANCER
  const cycle = new Cycle({
    port,
    rules,
    leadership,
    loadBalancer,
    eras,
    log,
    monotonicMs,
    share: options.share ?? 'weight',
  })
  const parts = { world, leadership, cycle, declaredDurable, journal }
  answer = (request) => answerAdmin(parts, request)

  const rounds = startRounds('cycle', options.everyMs ?? 200, () => cycle.tick(), log)
  const sales = new SaleWatch({ orders: world.orders, leads: () => leadership.lease() !== null, log })
  const looks = startRounds('sales', SALES_EVERY_MS, () => sales.look(), log)
  isReady = () => rounds.lastSucceeded() && cycle.role() !== 'unknown'
  metrics.addProcessMetrics()
  metrics.gauge('farebox_coordinator_leading', '1 while this coordinator leads.', () =>
    leadership.lease() === null ? 0 : 1,
  )
  metrics.counterFrom('farebox_coordinator_rounds_failed_total', 'Rounds that ended in an error.', () =>
    rounds.failures(),
  )
  return {
    adminUrl: server.url,
    async stop() {
      isReady = () => false
      await rounds.stop()
      await cycle.settled()
      await leadership.resign().catch((error: unknown) => log.warn({ err: error }, 'could not give the lease back'))
      await server.close()
      await looks.stop()
      await journal.flush()
    },
  }
}
