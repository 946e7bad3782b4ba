/** The orders service as a process: puts its parts together, starts them in order, and stops them in order. */
import { bufferRule } from '../config/buffer-rule.ts'
import { maskValue, type LoadedConfig } from '../config/load.ts'
import { ensureAdminTokens } from '../http/admin-token.ts'
import { startAdminServer } from '../http/admin-server.ts'
import { Identifier } from '../http/identity.ts'
import { journalAsker, toldAsker } from '../http/node-journal.ts'
import { rehearsalAsker } from '../http/node-rehearsal.ts'
import { nodeAsker } from '../http/node-report.ts'
import { openApiRoute } from '../http/openapi-route.ts'
import { HttpServer } from '../http/server.ts'
import { systemClock } from '../runtime/clock.ts'
import { LifeCycle } from '../runtime/life-cycle.ts'
import { createLogger, type Logger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import type { QuotaRules } from '../stock/core/words.ts'
import type { StockPort } from '../stock/port.ts'
import { connectRedisStock } from '../stock/redis/redis-stock.ts'
import { answerAdmin } from './admin/admin-routes.ts'
import { giveWay } from './give-way.ts'
import { Keeping } from './keeping/keeping.ts'
import { ActLedger } from './ledger/act-ledger.ts'
import { ledgerFaults } from './ledger/durability.ts'
import { openLedger } from './ledger/open-ledger.ts'
import { startPractice } from './ledger/practice.ts'
import { MoneySide, type MoneySideParts } from './money-side.ts'
import { OrderReader } from './order-reader.ts'
import { Pipeline } from './pipeline/pipeline.ts'
import { Presence } from './presence.ts'
import { Losses } from './recovery/losses.ts'
import { Marks } from './recovery/marks.ts'
import { Recovery } from './recovery/recovery.ts'
import { SaleRounds } from './recovery/sale-rounds.ts'
import { cancelRoute } from './routes/cancel.ts'
import { orderRoutes } from './routes/orders.ts'
import { SaleBook } from './sale-book.ts'
import { SaleActs } from './sales/sale-acts.ts'

/** The operator's mistake: one line with what, value, what to do. */
export class OrdersRefusal extends Error {
  override readonly name = 'OrdersRefusal'
}

const LOOK_AWAY_MS = 300
const CLOSE_TIMEOUT_MS = 2000
/** The longest that a process which announced itself may be silent and still count as running. */
const RIVAL_SILENT_MS = 3000

export interface RunningOrders {
  readonly url: string
  readonly adminUrl: string
}

/**
 * Runs an orders process until a signal ends it; resolves once its ports are open. Rejects with {@link OrdersRefusal}.
 * `directory` is the cluster's: it holds the admin token.
 */
export async function runOrders(loaded: LoadedConfig, directory: string): Promise<RunningOrders> {
  const { config } = loaded
  const { id, host } = config.orders
  const { url: ledgerUrl } = config.ledger
  if (id === null) throw new OrdersRefusal('orders.id is not set: give the process a name, for example --id o1')
  if (config.redis.url === null) {
    throw new OrdersRefusal('redis.url is not set: an orders process needs its cluster’s Redis')
  }
  if (ledgerUrl === null) throw new OrdersRefusal('ledger.url is not set: pglite://DIR or postgres://…')
  giveWay(config)
  const logger = createLogger({ level: config.log.level, bindings: { process: 'orders', id } })
  const lifeCycle = new LifeCycle(logger)
  lifeCycle.listen()
  const port = await connectRedisStock({
    url: config.redis.url,
    commandTimeoutMs: config.redis.commandTimeoutMs,
    autoPipelining: config.redis.autoPipelining,
  })
  await refuseToJoin(port, loaded, id, ledgerUrl)
  const { ledger, database } = await opened(ledgerUrl)
  if (config.ack === 'ledger') await refuseUnfitLedger(database, ledgerUrl)
  const tokens = await ensureAdminTokens(directory)

  const metrics = new Metrics()
  metrics.addProcessMetrics()
  let presence: Presence | null = null
  const shownNowMs = (): number => presence?.shownNowMs() ?? systemClock.nowMs()
  const book = new SaleBook(port, rulesOf(loaded))
  const reader = new OrderReader({ ledger, port, book, log: logger })
  const { acts, recovery, rounds } = saleParts(loaded, tokens.operator, { port, ledger, database, logger })
  addRecoveryMetrics(metrics, recovery, rounds)
  const onOverrun = (saleId: string, storeEra: number): void => rounds.overran(saleId, storeEra)
  const pipeline = new Pipeline({
    ledger,
    store: port.sales,
    clock: systemClock,
    storeNowMs: () => presence?.storeNowMs() ?? null,
    metrics,
    log: logger,
    onRecovering: () => rounds.askAgain(),
    onOverrun,
    judged: () => money.judged(),
  })
  const { fates } = pipeline
  const faults = (): Promise<readonly string[]> => ledgerFaults(database)
  const keeping = new Keeping({ ledger, faults, monotonicMs, metrics, log: logger, onOverrun })
  const identifier = identifierOf(loaded)
  let ownUrl = ''
  const money = moneySide({
    loaded,
    id,
    ledger,
    database,
    store: port.sales,
    rules: rulesOf(loaded),
    fates,
    settling: pipeline.settling,
    storeNowMs: () => presence?.storeNowMs() ?? null,
    identifier,
    clock: systemClock,
    random: systemRandom,
    logger,
    metrics,
    ownUrl: () => ownUrl,
  })
  const server = new HttpServer(
    {
      logger,
      random: systemRandom,
      maxBodyBytes: config.http.maxBodyBytes,
      allowedOrigins: config.http.allowedOrigins,
      onStockLawBroken: (error) => lifeCycle.fail(error),
    },
    [
      ...orderRoutes({ reader, identifier, shownNowMs }),
      cancelRoute({ reader, fates, identifier, shownNowMs }),
      ...money.routes,
      openApiRoute(),
    ],
  )
  metrics.counterFrom('farebox_http_requests_total', 'Requests of buyers.', () => server.counters.requests)
  const adminServer = await startAdminServer({
    name: `orders ${id}`,
    host,
    port: config.orders.adminPort,
    token: tokens.operator,
    viewerToken: tokens.viewer,
    answer: (request) =>
      answerAdmin(
        { ledger, reader, fates, money, acts, recovery, rounds, keeping, fleet: port.fleet, nowMs: shownNowMs },
        request,
      ),
    isReady: () => lifeCycle.state === 'running' && presence?.isAnnounced === true,
    metrics: () => metrics.scrape(),
    log: logger,
  })
  const url = `http://${host}:${await server.listen(host, config.orders.port)}`
  ownUrl = url
  const adminUrl = adminServer.url
  presence = new Presence(port.fleet, { id, url, adminUrl }, systemClock, logger)
  presence.start()
  rounds.start()
  pipeline.start()
  await money.start()
  const practice = startPractice(database, id, () => pipeline.taken, logger)

  lifeCycle.addStopStep({ name: 'leave', timeoutMs: 2000, run: () => leave(presence) })
  lifeCycle.addStopStep({ name: 'answer', timeoutMs: CLOSE_TIMEOUT_MS * 2, run: () => closed(server) })
  lifeCycle.addStopStep({ name: 'admin', timeoutMs: CLOSE_TIMEOUT_MS, run: () => adminServer.close() })
  lifeCycle.addStopStep({ name: 'payments', timeoutMs: 7000, run: () => money.stop() })
  lifeCycle.addStopStep({ name: 'pipeline', timeoutMs: 4000, run: () => pipeline.stop() })
  lifeCycle.addStopStep({ name: 'sales', timeoutMs: CLOSE_TIMEOUT_MS, run: () => rounds.stop() })
  lifeCycle.addStopStep({ name: 'practice', timeoutMs: CLOSE_TIMEOUT_MS, run: () => practice.stop() })
  lifeCycle.addStopStep({ name: 'ledger', timeoutMs: CLOSE_TIMEOUT_MS, run: () => ledger.close() })
  lifeCycle.addStopStep({ name: 'store', timeoutMs: CLOSE_TIMEOUT_MS, run: () => port.close() })
  logger.info({ url, adminUrl }, 'serving')
  return { url, adminUrl }
}

type Opened = Awaited<ReturnType<typeof openLedger>>

async function opened(url: string): Promise<Opened> {
  try {
    return await openLedger(url)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new OrdersRefusal(`the ledger at ${shownUrl(url)} cannot be opened: ${why}`, { cause: error })
  }
}

async function refuseUnfitLedger(database: Opened['database'], url: string): Promise<void> {
  const faults = await ledgerFaults(database)
  if (faults.length === 0) return
  await database.close()
  throw new OrdersRefusal(
    `the ledger at ${shownUrl(url)} does not keep what ack: ledger promises: ${faults.join('; ')}`,
  )
}

function moneySide(parts: MoneySideParts): MoneySide {
  try {
    return new MoneySide(parts)
  } catch (error) {
    throw new OrdersRefusal(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function rulesOf({ config }: LoadedConfig): QuotaRules {
  return { buffer: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs }
}

const monotonicMs = (): number => systemClock.monotonicMs()

/** What looks after the sales themselves: marks, recovery, an operator's acts. */
function saleParts(
  loaded: LoadedConfig,
  token: string,
  { port, ledger, database, logger: log }: Opened & { readonly port: StockPort; readonly logger: Logger },
): { readonly acts: SaleActs; readonly recovery: Recovery; readonly rounds: SaleRounds } {
  const declaredDurable = loaded.config.redis.durable
  const marks = new Marks(ledger)
  const common = { port, ledger, rules: rulesOf(loaded), marks, log, declaredDurable }
  const askRehearsal = rehearsalAsker(token)
  const rehearse = async (): Promise<void> => {
    const { nodes } = await port.fleet.read()
    await Promise.all(nodes.filter(({ state }) => state === 'live').map(({ adminUrl }) => askRehearsal(adminUrl)))
  }
  const acts = new SaleActs({ ...common, acts: new ActLedger(database), rehearse })
  const union = { allInLedger: loaded.config.ack === 'ledger', askJournal: journalAsker(token) }
  const recovery = new Recovery({ ...common, askNode: nodeAsker(token), monotonicMs, union })
  const losses = new Losses({ ledger, store: port.sales, askTold: toldAsker(token), log, monotonicMs })
  const rounds = new SaleRounds({ ...common, acts, recovery, losses, monotonicMs })
  return { acts, recovery, rounds }
}

function addRecoveryMetrics(metrics: Metrics, recovery: Recovery, rounds: SaleRounds): void {
  metrics.gauge(
    'farebox_sales_overrun',
    'Sales that were paused because the store sold too much again, soon after it had been counted anew.',
    () => rounds.overruns().length,
  )
  metrics.gauge(
    'farebox_acknowledged_orders_lost',
    'Orders that nodes told buyers of and neither ledger nor store has, as far as nodes remember.',
    () => rounds.losses().reduce((sum, { orders }) => sum + orders, 0),
  )
  metrics.gauge('farebox_sales_recovering', 'Sales that do not sell until recovered.', () => recovery.cases().length)
  metrics.counterFrom('farebox_recoveries_total', 'Sales brought back under a new era.', () => recovery.count)
  metrics.counterFrom(
    'farebox_without_sale_seconds_total',
    'Time in which sales did not sell until recovered, as this process saw it.',
    () => recovery.withoutSaleMs / 1000,
  )
}

function shownUrl(url: string): string {
  return String(maskValue('ledger.url', url))
}

/** Out of the fleet first, then a moment in which nginx may hear of it. */
async function leave(presence: Presence | null): Promise<void> {
  await presence?.stop()
  await new Promise((resolve) => {
    setTimeout(resolve, LOOK_AWAY_MS)
  })
}

async function closed(server: HttpServer): Promise<void> {
  await server.close(CLOSE_TIMEOUT_MS)
}

function identifierOf({ config, publicKeyPems }: LoadedConfig): Identifier {
  const { mode, secret, issuer, audience } = config.identity
  return new Identifier({ mode, secret, publicKeyPems, issuer, audience }, systemClock, systemRandom)
}

/** Another configuration, or a second process on a ledger that only one can open. */
async function refuseToJoin(port: StockPort, loaded: LoadedConfig, id: string, ledgerUrl: string): Promise<void> {
  const { config, clusterHash } = loaded
  const agreed = await port.fleet.agreeOnConfig(clusterHash, config.deadAfterMs)
  if (agreed.hash !== clusterHash) {
    throw new OrdersRefusal(
      `this configuration differs from that of the running fleet in what all must share (${clusterHash.slice(0, 12)} ` +
        `here, ${agreed.hash.slice(0, 12)} there): start it with the fleet's, or stop the fleet first`,
    )
  }
  if (!ledgerUrl.startsWith('pglite:')) return
  const { orders, nowMs } = await port.fleet.read()
  const rival = orders.find((other) => other.id !== id && nowMs - other.lastSeenMs < RIVAL_SILENT_MS)
  if (rival === undefined) return
  throw new OrdersRefusal(
    `ledger.url is ${shownUrl(ledgerUrl)}, which one process opens alone, and orders process ${rival.id} runs at ${rival.url}: ` +
      'more than one need PostgreSQL (postgres://…)',
  )
}
