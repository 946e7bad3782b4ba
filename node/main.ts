/** The node as a process: puts its parts together, starts them in order, and stops them in order. */
import { bufferRule } from '../config/buffer-rule.ts'
import type { LoadedConfig } from '../config/load.ts'
import { Identifier } from '../http/identity.ts'
import { HttpServer } from '../http/server.ts'
import { systemClock } from '../runtime/clock.ts'
import { LifeCycle } from '../runtime/life-cycle.ts'
import { createLogger, type Logger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import type { StockPort } from '../stock/port.ts'
import { connectRedisStock } from '../stock/redis/redis-stock.ts'
import { NodeMetrics } from './node-metrics.ts'
import { adminRoutes } from './routes/admin.ts'
import { buyRoute } from './routes/buy.ts'
import { ordersRoutes } from './routes/orders.ts'
import { salesRoutes } from './routes/sales.ts'
import type { DeskSettings } from './sale-desk.ts'
import { SellingNode } from './selling-node.ts'

/** The operator's mistakes: one line each, what, value, what to do. */
export class NodeRefusal extends Error {
  override readonly name = 'NodeRefusal'
}

/** Longest wait for nginx to look away and for the last answers. */
const DRAIN_TIMEOUT_MS = 5000
/** No request for so long means that nginx has looked away. */
const QUIET_MS = 300
const CLOSE_TIMEOUT_MS = 2000
const LOOK_EVERY_MS = 25

/** Runs a node until it is told to stop; resolves once it serves, with where. */
export async function runNode(loaded: LoadedConfig): Promise<{ readonly url: string; readonly adminUrl: string }> {
  const { config } = loaded
  const { id, host, port, adminPort, weight } = config.node
  if (id === null) throw new NodeRefusal('node.id is not set: give the node a name, for example --id n1')
  if (config.redis.url === null) throw new NodeRefusal('redis.url is not set: a node needs the Redis of its cluster')
  const logger = createLogger({ level: config.log.level, bindings: { process: 'node', id } })
  const stock = await connectRedisStock({
    url: config.redis.url,
    commandTimeoutMs: config.redis.commandTimeoutMs,
    autoPipelining: config.redis.autoPipelining,
  })
  const checkDurability = durabilityCheck(stock, loaded, logger)
  const faults = await durabilityFaults(stock, loaded)
  if (faults.length > 0) {
    throw new NodeRefusal(`Redis does not keep what ack: ${config.ack} promises: ${faults.join('; ')}`)
  }
  await agreeOnConfig(stock, loaded)

  const metrics = new Metrics()
  metrics.addProcessMetrics()
  const lifeCycle = new LifeCycle(logger)
  lifeCycle.listen()
  const serverOptions = {
    logger,
    random: systemRandom,
    maxBodyBytes: config.http.maxBodyBytes,
    onStockLawBroken: (error: Error) => lifeCycle.fail(error),
  }
  const identifier = new Identifier(
    {
      mode: config.identity.mode,
      secret: config.identity.secret,
      publicKeyPems: loaded.publicKeyPems,
      issuer: config.identity.issuer,
      audience: config.identity.audience,
    },
    systemClock,
    systemRandom,
  )

  const desk: DeskSettings = {
    nodeId: id,
    rules: { buffer: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs },
    batchMaxItems: config.batch.maxItems,
    batchMaxInFlight: config.batch.maxInFlight,
    lineMaxItems: config.park.maxItems,
    buyDeadlineMs: config.buyDeadlineMs,
    checkDurability,
  }
  const desks = new Map<string, SellingNode>()
  const nodeMetrics = new NodeMetrics(metrics, () => [...desks.values()].flatMap((node) => [...node.desks.values()]))
  // The ports are only known once they are open, and the fleet must be told them: routes find the node by this map.
  const lateNode = (): SellingNode => {
    const node = desks.get(id)
    if (node === undefined) throw new Error('the node is not put together yet')
    return node
  }
  void lateNode
  throw new Error('see below')
}
