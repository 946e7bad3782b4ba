/** One node and its Redis on one core, with one open sale: fresh for each sample, so that none inherits anything. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import type { QuotaRules, SaleDefinition } from '../../stock/core/words.ts'
import { connectRedisStock, type RedisStock } from '../../stock/redis/redis-stock.ts'
import { saleKeys } from '../../stock/redis/keys.ts'
import { NODE_HEAP_FLAGS } from '../../node/heap.ts'
import { saleFaults } from '../report/sale-faults.ts'
import { freePort, SERVER_CORE, start, type Started, until } from '../cluster/processes.ts'
import { FARE, SALE } from './requests.ts'

export const RULES: QuotaRules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
const CLI = fileURLToPath(new URL('../../coordinator/cli/main.js', import.meta.url))
const READY_WITHIN_MS = 15_000

export interface SiteSettings {
  /** `always`: appendonly with fsync on every write. `off`: no AOF, and `ack: none`. */
  readonly fsync: 'always' | 'off'
  readonly stock: number
  /** Of the node, as environment names without the prefix. */
  readonly node: Readonly<Record<string, string>>
}

export interface RedisSite {
  readonly url: string
  readonly client: Redis
  stop(): Promise<void>
}

export async function startRedis(directory: string, fsync: SiteSettings['fsync']): Promise<RedisSite> {
  const own = mkdtempSync(join(directory, 'redis-'))
  const port = await freePort()
  const aof = fsync === 'always' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const server = start({
    core: SERVER_CORE,
    program: 'redis-server',
    args: ['--port', String(port), '--bind', '127.0.0.1', '--dir', own, '--save', '', ...aof],
    logPath: join(own, 'log'),
  })
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on('error', () => {})
  await until('redis-server', READY_WITHIN_MS, async () => (await client.ping()) === 'PONG')
  return {
    url,
    client,
    async stop() {
      client.disconnect()
      await server.stop()
      rmSync(own, { recursive: true, force: true })
    },
  }
}

export async function openSale(stock: RedisStock, tickets: number): Promise<void> {
  const definition: SaleDefinition = {
    id: SALE,
    name: 'Bench',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 1,
    holdMs: 300_000,
    fares: [{ id: FARE, name: 'A', price: { amount: 100, currency: 'EUR' }, stock: tickets }],
    orderIdSecret: '5a'.repeat(32),
  }
  await stock.fleet.certify(0, 1)
  const { version } = await stock.sales.create(definition, 1)
  await stock.sales.change(SALE, 'open', version)
  await stock.fleet.addSale(SALE)
}

export class Site {
  readonly redis: RedisSite
  readonly url: string
  readonly #adminUrl: string
  readonly #stock: RedisStock
  readonly #node: Started

  private constructor(redis: RedisSite, url: string, adminUrl: string, stock: RedisStock, node: Started) {
    this.redis = redis
    this.url = url
    this.#adminUrl = adminUrl
    this.#stock = stock
    this.#node = node
  }

  static async start(directory: string, secret: string, settings: SiteSettings): Promise<Site> {
    const redis = await startRedis(directory, settings.fsync)
    const stock = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
    await openSale(stock, settings.stock)
    const ports = [await freePort(), await freePort()] as const
    const [url, adminUrl] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string]
    const node = start({
      core: SERVER_CORE,
      program: process.execPath,
      args: [...nodeOptions(directory), CLI, 'run', 'node', '--id', 'n1', '--dir', directory],
      environment: {
        FAREBOX_REDIS_URL: redis.url,
        FAREBOX_IDENTITY_SECRET: secret,
        FAREBOX_ACK: settings.fsync === 'always' ? 'redis' : 'none',
        FAREBOX_NODE_PORT: String(ports[0]),
        FAREBOX_NODE_ADMIN_PORT: String(ports[1]),
        ...Object.fromEntries(Object.entries(settings.node).map(([name, value]) => [`FAREBOX_${name}`, value])),
      },
      logPath: join(directory, 'node.log'),
    })
    const site = new Site(redis, url, adminUrl, stock, node)
    await until('the node (see node.log)', READY_WITHIN_MS, async () => (await fetch(`${adminUrl}/readyz`)).ok)
    return site
  }

  /** Purchases by how they ended, since the node started. */
  async outcomes(): Promise<Record<string, number>> {
    const text = await this.#metrics()
    const lines = text.matchAll(/^farebox_buys_total\{outcome="(\w+)"\} (\d+)$/gm)
    return Object.fromEntries([...lines].map(([, outcome = '', times]) => [outcome, Number(times)]))
  }

  async confirmCalls(): Promise<number> {
    return Number(/^farebox_confirm_calls_total (\d+)$/m.exec(await this.#metrics())?.[1] ?? Number.NaN)
  }

  /** The stock law and every count against every other, by store and node. */
  async faults(expected: readonly string[]): Promise<string[]> {
    const keys = saleKeys(SALE)
    const snapshot = await this.#stock.sales.read(SALE, RULES)
    const orders = await this.redis.client.hlen(keys.orders)
    const buyers = await this.redis.client.hlen(keys.buyers)
    const aborted = Number(/^farebox_http_aborted_total (\d+)$/m.exec(await this.#metrics())?.[1] ?? Number.NaN)
    const outcomes = await this.outcomes()
    return saleFaults({ fares: snapshot?.fares ?? [], orders, buyers, outcomes, aborted }, expected)
  }

  async stop(): Promise<void> {
    await this.#node.stop()
    await this.#stock.close()
    await this.redis.stop()
  }

  async #metrics(): Promise<string> {
    return (await fetch(`${this.#adminUrl}/metrics`)).text()
  }
}

/** As `up` starts a node, and BENCH_NODE_OPTIONS, for a profile: for example `--cpu-prof --cpu-prof-dir=/tmp/profiles`. */
function nodeOptions(directory: string): string[] {
  const more = (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter(Boolean)
  return [...NODE_HEAP_FLAGS, ...more.map((option) => option.replace('DIR', directory))]
}
