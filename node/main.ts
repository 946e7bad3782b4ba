/** The node as a process: puts its parts together, starts them in order, and stops them in order. */
import { bufferRule } from '../config/buffer-rule.ts'
import type { LoadedConfig } from '../config/load.ts'
import { ensureAdminTokens } from '../http/admin-token.ts'
import { Identifier } from '../http/identity.ts'
import { keepAsker } from '../http/keep-orders.ts'
import { HttpServer, type ServerOptions } from '../http/server.ts'
import { systemClock } from '../runtime/clock.ts'
import { LifeCycle } from '../runtime/life-cycle.ts'
import { createLogger, type Logger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import { systemTimers } from '../runtime/timers.ts'
import type { StockPort } from '../stock/port.ts'
import { connectRedisStock } from '../stock/redis/redis-stock.ts'
import { type Acknowledger, replicaAcknowledger } from './acknowledger.ts'
import { drainOnDemand, drainToEnd } from './drain.ts'
import { durabilityFaults } from './durability.ts'
import { ledgerAcknowledger } from './ledger-acknowledger.ts'
import { NodeMetrics } from './node-metrics.ts'
import { OpeningWatch } from './opening-watch.ts'
import { adminRoutes } from './routes/admin.ts'
import { LiveMetrics } from './live/live-metrics.ts'
import { Live } from './live/live.ts'
import { buyRoute } from './routes/buy.ts'
import { ordersRoutes } from './routes/orders.ts'
import { salesRoutes } from './routes/sales.ts'
import { rehearseByHand, rehearseOpening, rehearseStart } from './rehearsal.ts'
import type { DeskSettings } from './sale-desk.ts'
import { SellingNode } from './selling-node.ts'

/** The operator's mistake: one line with what, value, what to do. */
export class NodeRefusal extends Error {
  override readonly name = 'NodeRefusal'
}

const DRAIN_TIMEOUT_MS = 8500
const CLOSE_TIMEOUT_MS = 2000
/** How often it is looked whether a sale opens soon. */
const OPENINGS_MS = 250
/** Most of the time that nginx needs to look away, so that few come back to this very node. */
const LIVE_LEAVE_MS = 1500

/**
 * Runs a node until a signal ends it; resolves once its ports are open. Rejects with {@link NodeRefusal}. `directory` is
 * the cluster's: it holds the admin token.
 */
export async function runNode(
  loaded: LoadedConfig,
  directory: string,
): Promise<{ readonly url: string; readonly adminUrl: string }> {
  const { config } = loaded
  const { id, host, weight } = config.node
  if (id === null) throw new NodeRefusal('node.id is not set: give the node a name, for example --id n1')
  if (config.redis.url === null) throw new NodeRefusal('redis.url is not set: a node needs the Redis of its cluster')
  const logger = createLogger({ level: config.log.level, bindings: { process: 'node', id } })
  const lifeCycle = new LifeCycle(logger)
  lifeCycle.listen()
  const stock = await connectRedisStock({
    url: config.redis.url,
    commandTimeoutMs: config.redis.commandTimeoutMs,
    autoPipelining: config.redis.autoPipelining,
  })
  await refuseUnfitStore(stock, loaded)

  const { operator: token } = await ensureAdminTokens(directory)
  const metrics = new Metrics()
  metrics.addProcessMetrics()
  const nodeMetrics = new NodeMetrics(metrics, () => node.desks.values())
  const desk: DeskSettings = {
    nodeId: id,
    rules: { buffer: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs },
    batchMaxItems: config.batch.maxItems,
    batchMaxInFlight: config.batch.maxInFlight,
    lineMaxItems: config.park.maxItems,
    buyDeadlineMs: config.buyDeadlineMs,
    ...acknowledging(loaded, token, stock, logger),
    checkDurability: () => isDurable(stock, loaded, logger),
  }
  const node: SellingNode = new SellingNode({
    port: stock,
    clock: systemClock,
    logger,
    metrics: nodeMetrics,
    heartbeatMs: config.heartbeatMs,
    desk,
  })
  const serverOptions: ServerOptions = {
    logger,
    random: systemRandom,
    maxBodyBytes: config.http.maxBodyBytes,
    allowedOrigins: config.http.allowedOrigins,
    onStockLawBroken: (error) => lifeCycle.fail(error),
  }
  const identifier = identifierOf(loaded)
  const live = liveConnections(loaded, stock, node, identifier, metrics, logger)
  const server = buyersServer(loaded, serverOptions, stock, node, identifier, nodeMetrics, live)
  metrics.counterFrom('farebox_http_requests_total', 'Requests of buyers.', () => server.counters.requests)
  metrics.counterFrom('farebox_http_aborted_total', 'Clients gone before their answer.', () => server.counters.aborted)
  const isStopping = (): boolean => lifeCycle.state !== 'running'
  const rehearsal = { port: stock, desk, server: serverOptions }
  logger.info({ purchases: await rehearseStart(rehearsal) }, 'practised')
  const openings = new OpeningWatch(node.desks, systemClock, async (saleIds) => {
    logger.info({ saleIds, purchases: await rehearseOpening(rehearsal) }, 'practised before the opening')
  })
  const practise = (): Promise<void> =>
    openings.now(async () => {
      logger.info({ purchases: await rehearseByHand(rehearsal) }, 'practised before an opening by hand')
    })
  const adminParts = { nodeId: id, node, metrics, token, isStopping, practise }
  const adminServer = new HttpServer(serverOptions, adminRoutes(adminParts))
  const url = `http://${host}:${await server.listen(host, config.node.port)}`
  const adminUrl = `http://${host}:${await adminServer.listen(host, config.node.adminPort)}`
  node.onDrain = () => drainOnDemand(node, server, logger)
  node.start({ id, url, adminUrl, weight })
  live.start(server)
  const endOpenings = systemTimers.every(OPENINGS_MS, () => openings.look())
  lifeCycle.addStopStep({
    name: 'drain',
    timeoutMs: DRAIN_TIMEOUT_MS,
    async run() {
      // Live connections hold up nginx's own end: they go soon, whether or not it has looked away.
      await Promise.all([drainToEnd(node, server, logger), live.leaveAfter(LIVE_LEAVE_MS)])
    },
  })
  lifeCycle.addStopStep({
    name: 'close',
    timeoutMs: CLOSE_TIMEOUT_MS * 2,
    async run() {
      endOpenings()
      await server.close(CLOSE_TIMEOUT_MS)
      node.stop()
      await adminServer.close(CLOSE_TIMEOUT_MS)
      await stock.close()
    },
  })
  logger.info({ url, adminUrl }, 'serving')
  return { url, adminUrl }
}

function acknowledging(
  { config }: LoadedConfig,
  token: string,
  stock: StockPort,
  log: Logger,
): { readonly acknowledger?: Acknowledger } {
  if (config.ack === 'replicated') return { acknowledger: replicaAcknowledger(stock.sales, config.redis.replicas) }
  if (config.ack !== 'ledger') return {}
  return { acknowledger: ledgerAcknowledger({ fleet: stock.fleet, askKeep: keepAsker(token), log }) }
}

function identifierOf({ config, publicKeyPems }: LoadedConfig): Identifier {
  const { mode, secret, issuer, audience } = config.identity
  return new Identifier({ mode, secret, publicKeyPems, issuer, audience }, systemClock, systemRandom)
}

function liveConnections(
  { config }: LoadedConfig,
  stock: StockPort,
  node: SellingNode,
  identifier: Identifier,
  metrics: Metrics,
  logger: Logger,
): Live {
  const live: Live = new Live({
    desks: node.desks,
    knowsSales: () => node.knowsSales,
    isDraining: () => node.member !== null && node.member.state !== 'live',
    sales: stock.sales,
    identifier,
    clock: systemClock,
    random: systemRandom,
    logger,
    maxSockets: config.live.maxSockets,
    metrics: new LiveMetrics(metrics, () => live.sockets),
  })
  return live
}

function buyersServer(
  { config }: LoadedConfig,
  options: ServerOptions,
  stock: StockPort,
  node: SellingNode,
  identifier: Identifier,
  metrics: NodeMetrics,
  live: Live,
): HttpServer {
  const { desks } = node
  const { buyDeadlineMs } = config
  const knowsSales = (): boolean => node.knowsSales
  const routes = [
    buyRoute({ desks, knowsSales, identifier, clock: systemClock, random: systemRandom, metrics, buyDeadlineMs }),
    ...salesRoutes(desks, knowsSales, systemClock),
    ...ordersRoutes({ desks, sales: stock.sales, identifier, clock: systemClock }),
  ]
  return new HttpServer(options, routes, [live])
}

async function refuseUnfitStore(stock: StockPort, loaded: LoadedConfig): Promise<void> {
  const faults = await durabilityFaults(stock, loaded)
  if (faults.length > 0) {
    throw new NodeRefusal(`Redis does not keep what ack: ${loaded.config.ack} promises: ${faults.join('; ')}`)
  }
  const agreed = await stock.fleet.agreeOnConfig(loaded.clusterHash, loaded.config.deadAfterMs)
  if (agreed.hash !== loaded.clusterHash) {
    throw new NodeRefusal(
      `this configuration differs from that of the running fleet in what all must share (${loaded.clusterHash.slice(0, 12)} here, ` +
        `${agreed.hash.slice(0, 12)} there): start it with the fleet's, or stop the fleet first`,
    )
  }
}

async function isDurable(stock: StockPort, loaded: LoadedConfig, logger: Logger): Promise<boolean> {
  const faults = await durabilityFaults(stock, loaded)
  if (faults.length > 0) logger.error({ faults, ack: loaded.config.ack }, 'not selling: Redis does not keep enough')
  return faults.length === 0
}
