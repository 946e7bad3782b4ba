/** A whole cluster as an operator starts one, through bin/farebox, on the servers' cores. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { connectRedisStock, type RedisStock } from '../../stock/redis/redis-stock.ts'
import { type Cores, pinned } from './cores.ts'

export interface FareSpec {
  readonly id: string
  readonly stock: number
}

export interface SaleSpec {
  readonly id: string
  readonly limitPerBuyer: number
  readonly holdSeconds: number
  readonly fares: readonly FareSpec[]
}

export interface ClusterSpec {
  /** Of the repository. */
  readonly root: string
  /** For the cluster's files; not there yet. */
  readonly directory: string
  readonly cores: Cores
  readonly nodes: number
  readonly sale: SaleSpec
  /** Text of a configuration file. */
  readonly config?: string
}

/** The part of `up --json` that is needed here. */
export interface ClusterView {
  readonly url: string
  readonly nodes: readonly {
    readonly id: string
    readonly url: string
    readonly adminUrl: string
    readonly pid: number
  }[]
  readonly redis: { readonly url: string; readonly pid: number }
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export class Cluster {
  readonly view: ClusterView
  readonly stock: RedisStock
  readonly redis: Redis
  readonly #spec: ClusterSpec

  private constructor(spec: ClusterSpec, view: ClusterView, stock: RedisStock, redis: Redis) {
    this.#spec = spec
    this.view = view
    this.stock = stock
    this.redis = redis
  }

  static async start(spec: ClusterSpec): Promise<Cluster> {
    const saleFile = `${spec.directory}-sale.yaml`
    const configFile = `${spec.directory}-config.yaml`
    writeFileSync(saleFile, saleText(spec.sale))
    writeFileSync(configFile, spec.config ?? '{}\n')
    const args = ['up', '--detach', '--json', '--port', '0', '--nodes', String(spec.nodes)]
    const up = await bringUp(spec, [...args, '--sale', saleFile, '--config', configFile])
    if (up.code !== 0) throw new Error(`the cluster did not start: ${whyOf(up)}`)
    try {
      const view = JSON.parse(up.stdout) as ClusterView
      const stock = await connectRedisStock({ url: view.redis.url, commandTimeoutMs: 5000 })
      const redis = new Redis(view.redis.url, { maxRetriesPerRequest: null })
      redis.on('error', () => {})
      return new Cluster(spec, view, stock, redis)
    } catch (error) {
      takeDown(spec)
      throw error
    }
  }

  get saleId(): string {
    return this.#spec.sale.id
  }

  farebox(...args: string[]): Promise<Ended> {
    return runFarebox(this.#spec, args)
  }

  /** Writes `count` lines of buyer and token to a file, on the load's cores. */
  async writeTokens(count: number, prefix: string, path: string): Promise<void> {
    const out = openSync(path, 'w')
    try {
      const [program, args] = fareboxCommand(this.#spec, [
        'token',
        '--count',
        String(count),
        '--prefix',
        prefix,
        '--ttl',
        '1d',
      ])
      const child = spawn(...pinned(this.#spec.cores.load, program, args), { stdio: ['ignore', out, 'inherit'] })
      const [code] = (await once(child, 'close')) as [number | null]
      if (code !== 0) throw new Error(`tokens could not be made: farebox token ended with ${code}`)
    } finally {
      closeSync(out)
    }
  }

  /** Reads every order record of the sale, one by one, into a file of `bench/report/attempts.ts`' form. */
  async writeOrders(path: string): Promise<void> {
    const out = createWriteStream(path)
    const seen = new Set<string>()
    for (let cursor: string | null = '0'; cursor !== null;) {
      const page: Awaited<ReturnType<RedisStock['sales']['scanOrders']>> = await this.stock.sales.scanOrders(
        this.saleId,
        cursor,
      )
      for (const order of page.orders.filter(({ id }) => !seen.has(id))) {
        seen.add(order.id)
        const { id, buyer, fareId, quantity, state, createdAtMs } = order
        if (!out.write(`${[id, buyer, fareId, quantity, state, createdAtMs].join('\t')}\n`)) await once(out, 'drain')
      }
      cursor = page.cursor
    }
    out.end()
    await once(out, 'close')
  }

  /** The last lines of each process's log, for a run that failed. */
  logs(): Record<string, string> {
    const names = ['supervisor', 'redis', 'nginx', 'c1', ...this.view.nodes.map(({ id }) => id)]
    return Object.fromEntries(names.map((name) => [name, tail(join(this.#spec.directory, 'logs', `${name}.log`))]))
  }

  async end(): Promise<void> {
    this.redis.disconnect()
    await this.stock.close()
    takeDown(this.#spec)
  }
}

/** The first line of what it told. */
function whyOf({ code, stdout, stderr }: Ended): string {
  const told = /"message":"((?:[^"\\]|\\.)*)"/.exec(stdout)?.[1]?.replaceAll('\\n', ' ')
  return (told ?? (stderr.trim() || `exit ${code}`)).slice(0, 300)
}

const UP_TRIES = 3

/**
 * A port that was free when it was chosen may be taken when nginx or a node binds it, by a connection that the kernel
 * gave this port to: then once more, with others. Nobody has bought anything yet.
 */
async function bringUp(spec: ClusterSpec, args: readonly string[]): Promise<Ended> {
  for (let tries = 1; ; tries += 1) {
    const up = await runFarebox(spec, args)
    const isTaken = up.code !== 0 && /Address already in use|EADDRINUSE/.test(up.stdout + up.stderr)
    if (!isTaken || tries === UP_TRIES) return up
    takeDown(spec)
  }
}

/** Also for signals: it must be over when it returns. */
function takeDown(spec: ClusterSpec): void {
  const [program, args] = fareboxCommand(spec, ['down', '--purge', '--yes'])
  spawnSync(program, args, { stdio: 'ignore' })
}

function fareboxCommand({ root, directory }: ClusterSpec, args: readonly string[]): [string, string[]] {
  return [process.execPath, [join(root, 'bin', 'farebox'), ...args, '--dir', directory]]
}

async function runFarebox(spec: ClusterSpec, args: readonly string[]): Promise<Ended> {
  const [program, all] = fareboxCommand(spec, args)
  const child = spawn(...pinned(spec.cores.servers, program, all), { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(-20).join('\n')
  } catch {
    return ''
  }
}

function saleText({ id, limitPerBuyer, holdSeconds, fares }: SaleSpec): string {
  return [
    `id: ${id}`,
    'name: The sale of a benchmark',
    `limitPerBuyer: ${limitPerBuyer}`,
    `holdSeconds: ${holdSeconds}`,
    'fares:',
    ...fares.map(
      (fare) => `  - { id: ${fare.id}, name: Seat, stock: ${fare.stock}, price: { amount: 100, currency: EUR } }`,
    ),
    '',
  ].join('\n')
}
