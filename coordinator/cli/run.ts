import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { bufferRule } from '../../config/buffer-rule.ts'
import type { Config } from '../../config/options.ts'
import { NodeRefusal, runNode } from '../../node/main.ts'
import { OrdersRefusal, runOrders } from '../../orders/main.ts'
import { LifeCycle } from '../../runtime/life-cycle.ts'
import { createLogger } from '../../runtime/logger.ts'
import { runCoordinator } from '../daemon/main.ts'
import { nginxOf } from '../daemon/nginx.ts'
import { loadDirConfig } from './cluster.ts'
import { CliError, EXIT, type CommandResult, type RegisterCommand } from './frame.ts'
import { group } from './group.ts'
import { packageRoot } from './package-root.ts'
import { connectStock } from './stock.ts'

interface RunOptions {
  readonly id: string
  readonly port?: string
  readonly adminPort?: string
  readonly weight?: string
}

const ID = /^[a-z0-9][a-z0-9-]{0,31}$/

export const registerRun: RegisterCommand = (cli) => {
  const run = group(cli.program, 'run', 'one process in the foreground, for production machines')
  run
    .command('node')
    .requiredOption('--id <id>', 'name of the node in the fleet')
    .option('--port <port>', 'port for buyers; 0 takes a free one')
    .option('--admin-port <port>', 'private port; 0 takes a free one')
    .option('--weight <w>', 'share of traffic and quota')
    .description('a selling node')
    .action(cli.action(async (common, options: RunOptions) => startNode(resolve(common.dir), options)))
  run
    .command('orders')
    .requiredOption('--id <id>', 'name of the process in the fleet')
    .option('--port <port>', 'port for buyers; 0 takes a free one')
    .option('--admin-port <port>', 'private port; 0 takes a free one')
    .description('the orders service: ledger, holds that lapse, payment, tickets')
    .action(cli.action(async (common, options: RunOptions) => startOrders(resolve(common.dir), options)))
  run
    .command('coordinator')
    .requiredOption('--id <id>', 'name of the coordinator')
    .option('--admin-port <port>', 'private port; 0 takes a free one')
    .description('a coordinator')
    .action(cli.action(async (common, options: RunOptions) => startCoordinator(resolve(common.dir), options)))
}

async function startNode(dir: string, options: RunOptions): Promise<CommandResult> {
  const { id, port, adminPort, weight } = options
  const flags = { 'node.id': id, 'node.port': port, 'node.adminPort': adminPort, 'node.weight': weight }
  const loaded = loadDirConfig(dir, flags)
  const running = await runNode(loaded, dir).catch((error: unknown) => {
    throw error instanceof NodeRefusal ? new CliError(EXIT.usage, 'node_refused', error.message) : error
  })
  return { json: { id, url: running.url, adminUrl: running.adminUrl }, text: `node ${id}: ${running.url}` }
}

async function startOrders(dir: string, { id, port, adminPort }: RunOptions): Promise<CommandResult> {
  const loaded = loadDirConfig(dir, { 'orders.id': id, 'orders.port': port, 'orders.adminPort': adminPort })
  const running = await runOrders(loaded, dir).catch((error: unknown) => {
    throw error instanceof OrdersRefusal ? new CliError(EXIT.usage, 'orders_refused', error.message) : error
  })
  return { json: { id, ...running }, text: `orders ${id}: ${running.url}` }
}

async function startCoordinator(dir: string, { id, adminPort = '0' }: RunOptions): Promise<CommandResult> {
  if (!ID.test(id)) throw new CliError(EXIT.usage, 'usage', `--id ${id}: 1 to 32 of a-z, 0-9 and - are expected`)
  const { config, clusterHash } = loadDirConfig(dir, {})
  const { url } = config.redis
  if (url === null) throw new CliError(EXIT.usage, 'bad_config', 'redis.url is not set: a coordinator needs its Redis')
  const log = createLogger({ level: config.log.level, bindings: { process: 'coordinator', id } })
  const port = await connectStock(url, config.redis.commandTimeoutMs)
  const agreed = await port.fleet.agreeOnConfig(clusterHash, config.deadAfterMs)
  if (agreed.hash !== clusterHash) {
    const message = `${dir}/config.yaml differs from the configuration of the running fleet in what all must share`
    throw new CliError(EXIT.usage, 'config_differs', message, { here: clusterHash, fleet: agreed.hash })
  }
  const coordinator = await runCoordinator({
    id,
    directory: dir,
    adminPort: parsePort(adminPort),
    port,
    rules: { buffer: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs },
    loadBalancer: nginxOf(dir, packageRoot(), log),
    declaredDurable: config.redis.durable,
    share: config.quota.share,
    host: config.admin.host,
    tls: adminTls(config),
    log,
  })
  const life = new LifeCycle(log)
  life.addStopStep({ name: 'coordinator', timeoutMs: 5000, run: () => coordinator.stop() })
  life.addStopStep({ name: 'redis', timeoutMs: 1000, run: () => port.close() })
  life.listen()
  log.info({ adminUrl: coordinator.adminUrl }, 'coordinator runs')
  return { json: { id, adminUrl: coordinator.adminUrl }, text: `coordinator ${id}: ${coordinator.adminUrl}` }
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|localhost|::1)$/

/** The token must not cross a network in the clear. */
function adminTls({ admin }: Config): { readonly cert: string; readonly key: string } | null {
  const { host, certFile, keyFile } = admin
  if (certFile !== null && keyFile !== null) return { cert: readPem(certFile), key: readPem(keyFile) }
  if (certFile === null && keyFile === null && LOOPBACK.test(host)) return null
  const message = `admin.host ${host}: set admin.certFile and admin.keyFile, both, or stay on 127.0.0.1`
  throw new CliError(EXIT.usage, 'bad_config', message)
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(EXIT.usage, 'bad_config', `${path} cannot be read: ${why}`)
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port >= 0 && port < 65_536) return port
  throw new CliError(EXIT.usage, 'usage', `--admin-port ${text}: a port is expected`)
}
