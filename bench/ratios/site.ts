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
import { settledFaults } from '../cluster/settled.ts'
import { SERVER_CORE, start, type Started, until } from '../cluster/processes.ts'
import { freePort } from '../../runtime/free-ports.ts'
import { FARE, SALE } from './requests.ts'

export const RULES: QuotaRules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
const CLI = fileURLToPath(new URL('../../coordinator/cli/main.js', import.meta.url))
const READY_WITHIN_MS = 60_000

export interface SiteSettings {
  /** `always`: appendonly with fsync on every write. `off`: no AOF, and `ack: none`. */
  readonly fsync: 'always' | 'off'
  readonly stock: number
  /** Of the node, as environment names without the prefix. */
  readonly node: Readonly<Record<string, string>>
  /** Default 1. */
  readonly nodes?: number
  /** Fares beside the first, each with as large a stock; default 0. */
  readonly fares?: number
  /** Default `redis` with fsync, else `none`. */
  readonly ack?: 'replicated' | 'ledger'
  /** Before the sale is made. */
  readonly beforeSale?: (stock: RedisStock, redis: RedisSite) => Promise<void>
  /** Between the opening of the sale and the nodes' start. */
  readonly prepare?: (stock: RedisStock, redis: RedisSite) => Promise<void>
}

export interface RedisSite {
  readonly url: string
  readonly client: Redis
  stop(): Promise<void>
}

export async function startRedis(directory: string, fsync: SiteSettings['fsync']): Promise<RedisSite> {
  const own = mkdtempSync(join(directory, 'redis-'))
  const port = await freePort()
  // A rewrite in the middle would be measured with what comes last; `up` starts its Redis with the same bound.
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-min-size', '256mb']
  const aof = fsync === 'always' ? durable : ['--appendonly', 'no']
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

export const fareAt = (index: number): string => (index === 0 ? FARE : `f${String(index).padStart(4, '0')}`)

export async function openSale(stock: RedisStock, tickets: number, moreFares = 0): Promise<void> {
  const definition: SaleDefinition = {
    id: SALE,
    name: 'Bench',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 1,
    holdMs: 300_000,
    fares: Array.from({ length: 1 + moreFares }, (_, n) => ({
      id: fareAt(n),
      name: 'A',
      price: { amount: 100, currency: 'EUR' },
      stock: tickets,
    })),
    orderIdSecret: '5a'.repeat(32),
  }
  await stock.fleet.certify(0, 1)
  const { version } = await stock.sales.create(definition, 1)
  await stock.sales.change(SALE, 'open', version)
  await stock.fleet.addSale(SALE)
}

interface SiteNode {
  readonly url: string
  readonly adminUrl: string
  readonly process: Started
}

export class Site {
  readonly redis: RedisSite
  readonly stock: RedisStock
  readonly #nodes: SiteNode[]

  private constructor(redis: RedisSite, stock: RedisStock, nodes: SiteNode[]) {
    this.redis = redis
    this.stock = stock
    this.#nodes = nodes
  }

  static async start(directory: string, secret: string, settings: SiteSettings): Promise<Site> {
    const redis = await startRedis(directory, settings.fsync)
    const stock = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
    const site = new Site(redis, stock, [])
    try {
      await site.#begin(directory, secret, settings)
      return site
    } catch (error) {
      // Connections that are left would keep the bench from ending.
      await site.stop()
      throw error
    }
  }

  async #begin(directory: string, secret: string, settings: SiteSettings): Promise<void> {
    await settings.beforeSale?.(this.stock, this.redis)
    await openSale(this.stock, settings.stock, settings.fares)
    await settings.prepare?.(this.stock, this.redis)
    for (let n = 1; n <= (settings.nodes ?? 1); n += 1) {
      this.#nodes.push(await startNode(`n${n}`, directory, secret, this.redis.url, settings))
    }
    for (const { adminUrl } of this.#nodes) {
      await until('the node (see node.log)', READY_WITHIN_MS, async () => (await fetch(`${adminUrl}/readyz`)).ok)
    }
  }

  /** Of the first node. */
  get url(): string {
    return this.urls[0] ?? ''
  }

  get urls(): string[] {
    return this.#nodes.map(({ url }) => url)
  }

  get adminUrls(): string[] {
    return this.#nodes.map(({ adminUrl }) => adminUrl)
  }

  get pids(): number[] {
    return this.#nodes.flatMap(({ process }) => process.child.pid ?? [])
  }

  /** kill -9; it is out of every count from then on. */
  async kill(index: number): Promise<void> {
    const [killed] = this.#nodes.splice(index, 1)
    if (killed === undefined) throw new Error(`there is no node number ${index}`)
    killed.process.child.kill('SIGKILL')
    await killed.process.stop()
  }

  /** Purchases by how they ended, since the nodes started. */
  async outcomes(): Promise<Record<string, number>> {
    const outcomes: Record<string, number> = {}
    for (const text of await this.#metrics()) {
      const lines = text.matchAll(/^farebox_buys_total\{outcome="(\w+)"\} (\d+)$/gm)
      for (const [, outcome = '', times] of lines) outcomes[outcome] = (outcomes[outcome] ?? 0) + Number(times)
    }
    return outcomes
  }

  confirmCalls(): Promise<number> {
    return this.#sum(/^farebox_confirm_calls_total (\d+)$/m)
  }

  /** Waits until every node knows who bought before it came, and Redis has done what they made it do. */
  async settled(): Promise<void> {
    await until('the nodes to read who has won', READY_WITHIN_MS, async () => {
      const unread = await this.#sum(/^farebox_winners_unread\{sale="\w+"\} (\d+)$/m)
      const persistence = await this.redis.client.info('persistence')
      return unread === 0 && /^aof_rewrite_in_progress:0\r$/m.test(persistence)
    })
  }

  /** The stock law and every count against every other, by store and nodes; `before` was there when the nodes came. */
  faults(expected: readonly string[], before = 0): Promise<string[]> {
    return settledFaults(() => this.#faultsNow(expected, before))
  }

  async #faultsNow(expected: readonly string[], before: number): Promise<string[]> {
    const keys = saleKeys(SALE)
    const snapshot = await this.stock.sales.read(SALE, RULES)
    const orders = await this.redis.client.hlen(keys.orders)
    const buyers = await this.redis.client.hlen(keys.buyers)
    const aborted = await this.#sum(/^farebox_http_aborted_total (\d+)$/m)
    const told = await this.outcomes()
    const outcomes = told['won'] === undefined ? told : { ...told, won: told['won'] + before }
    return saleFaults({ fares: snapshot?.fares ?? [], orders, buyers, outcomes, aborted }, expected)
  }

  async stop(): Promise<void> {
    for (const { process } of this.#nodes) await process.stop()
    await this.stock.close()
    await this.redis.stop()
  }

  /** NaN when one of the nodes does not tell. */
  async #sum(pattern: RegExp): Promise<number> {
    const texts = await this.#metrics()
    return texts.reduce((sum, text) => sum + Number(pattern.exec(text)?.[1] ?? Number.NaN), 0)
  }

  #metrics(): Promise<string[]> {
    return Promise.all(this.#nodes.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/metrics`)).text()))
  }
}

async function startNode(
  id: string,
  directory: string,
  secret: string,
  redisUrl: string,
  settings: SiteSettings,
): Promise<SiteNode> {
  const ports = [await freePort(), await freePort()] as const
  const [url, adminUrl] = ports.map((port) => `http://127.0.0.1:${port}`) as [string, string]
  const started = start({
    core: SERVER_CORE,
    program: process.execPath,
    args: [...nodeOptions(directory), CLI, 'run', 'node', '--id', id, '--dir', directory],
    environment: {
      FAREBOX_REDIS_URL: redisUrl,
      FAREBOX_IDENTITY_SECRET: secret,
      FAREBOX_ACK: settings.ack ?? (settings.fsync === 'always' ? 'redis' : 'none'),
      FAREBOX_NODE_PORT: String(ports[0]),
      FAREBOX_NODE_ADMIN_PORT: String(ports[1]),
      ...Object.fromEntries(Object.entries(settings.node).map(([name, value]) => [`FAREBOX_${name}`, value])),
    },
    logPath: join(directory, 'node.log'),
  })
  return { url, adminUrl, process: started }
}

/** As `up` starts a node, and BENCH_NODE_OPTIONS, for a profile: for example `--cpu-prof --cpu-prof-dir=/tmp/profiles`. */
function nodeOptions(directory: string): string[] {
  const more = (process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter(Boolean)
  return [...NODE_HEAP_FLAGS, ...more.map((option) => option.replace('DIR', directory))]
}
