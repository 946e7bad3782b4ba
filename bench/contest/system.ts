/** What sells, from outside: one or more servers behind URLs, with a store of their own. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BASELINES } from '../baselines/all.ts'
import { SERVER_CORE, start, type Started, until } from '../cluster/processes.ts'
import { freePort } from '../../runtime/free-ports.ts'
import { FARE, SALE } from '../ratios/requests.ts'
import { RULES, Site, type SiteSettings, startRedis } from '../ratios/site.ts'
import { startPostgres } from './postgres.ts'

export interface System {
  readonly urls: readonly string[]
  /** Of all servers, since they started. */
  outcomes(): Promise<Record<string, number>>
  /** Counts that do not agree with each other. */
  faults(): Promise<string[]>
  giveBack(count: number): Promise<void>
  /** kill -9 of a server. */
  kill(index: number): Promise<void>
  stop(): Promise<void>
}

export interface SystemSettings {
  readonly directory: string
  readonly secret: string
  readonly fsync: 'always' | 'off'
  readonly stock: number
  readonly servers: number
  /** For the baseline that never returns one. */
  readonly connectionsMax: number
}

const SERVER = fileURLToPath(new URL('../baselines/server.js', import.meta.url))
const READY_WITHIN_MS = 15_000

export async function startBaseline(name: string, settings: SystemSettings): Promise<System> {
  const { directory, fsync, stock } = settings
  const store =
    BASELINES[name]?.store === 'postgres' ? await startPostgres(directory, fsync) : await startRedis(directory, fsync)
  const servers: { url: string; process: Started }[] = []
  for (let n = 0; n < settings.servers; n += 1) {
    servers.push(await startServer(name, store.url, settings, n === 0))
  }
  const counts = async (): Promise<Counts[]> =>
    Promise.all(servers.map(async ({ url }) => (await (await fetch(`${url}/counts`)).json()) as Counts))
  return {
    urls: servers.map(({ url }) => url),
    outcomes: async () => sumOf((await counts()).map(({ outcomes }) => outcomes)),
    async faults() {
      const all = await counts()
      return countFaults(all, stock)
    },
    async giveBack(count) {
      const answer = await fetch(`${servers.at(-1)?.url}/return/${count}`, { method: 'POST' })
      if (!answer.ok) throw new Error(`${name}: tickets could not be given back: ${answer.status}`)
    },
    async kill(index) {
      const [killed] = servers.splice(index, 1)
      killed?.process.child.kill('SIGKILL')
      await killed?.process.stop()
    },
    async stop() {
      for (const { process } of servers) await process.stop()
      await store.stop()
    },
  }
}

interface Counts {
  readonly remaining: number
  readonly sold: number
  readonly outcomes: Readonly<Record<string, number>>
}

async function startServer(name: string, store: string, settings: SystemSettings, isFirst: boolean) {
  const { stock, servers, connectionsMax, secret, directory } = settings
  const port = await freePort()
  const numbers = [stock, servers, connectionsMax].map(String)
  const process = start({
    core: SERVER_CORE,
    program: globalThis.process.execPath,
    args: [SERVER, name, String(port), store, ...numbers, ...(isFirst ? ['first'] : [])],
    environment: { FAREBOX_IDENTITY_SECRET: secret },
    logPath: join(directory, `${name}.log`),
  })
  const url = `http://127.0.0.1:${port}`
  await until(`${name} (see ${name}.log)`, READY_WITHIN_MS, async () => (await fetch(`${url}/counts`)).ok)
  return { url, process }
}

/** In a run without deaths, what the store holds is what was answered, but for clients that were gone. */
export function countFaults(all: readonly Counts[], stock: number): string[] {
  const [one] = all
  if (one === undefined) return ['nobody counted']
  const { won = Number.NaN, aborted = Number.NaN, unauthenticated = 0 } = sumOf(all.map(({ outcomes }) => outcomes))
  const faults = one.remaining + one.sold === stock ? [] : [`${one.remaining} left and ${one.sold} sold of ${stock}`]
  if (!(won >= one.sold - aborted && won - aborted <= one.sold)) faults.push(`${one.sold} sold, but ${won} answered so`)
  if (unauthenticated > 0) faults.push(`${unauthenticated} requests without a known token`)
  return faults
}

function sumOf(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const one of counts) for (const [name, times] of Object.entries(one)) sum[name] = (sum[name] ?? 0) + times
  return sum
}

export async function startFarebox(node: SiteSettings['node'], settings: SystemSettings): Promise<System> {
  const { directory, secret, fsync, stock, servers } = settings
  const site = await Site.start(directory, secret, { fsync, stock, node, nodes: servers })
  return {
    urls: site.urls,
    outcomes: () => site.outcomes(),
    faults: () => site.faults(['won']),
    async giveBack(count) {
      const sale = await site.stock.sales.read(SALE, RULES)
      if (sale === null) throw new Error('the sale is gone')
      const reply = await site.stock.sales.setStock(SALE, FARE, stock + count, sale.version)
      if (reply.outcome !== 'changed') throw new Error(`the stock could not be raised: ${reply.outcome}`)
    },
    kill: (index) => site.kill(index),
    stop: () => site.stop(),
  }
}
