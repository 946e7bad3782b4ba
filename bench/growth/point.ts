/** One point of a curve: purchases, then refusals after zero, and what CPU they took. */
import type { RedisStock } from '../../stock/redis/redis-stock.ts'
import { Confirmer } from '../ratios/confirmer.ts'
import { KNOWN_TOKENS, showTokens, told, wrkFaults } from '../ratios/contenders.ts'
import { type RequestFile, SALE } from '../ratios/requests.ts'
import { fareAt, type RedisSite, RULES, Site } from '../ratios/site.ts'
import { runWrk, type WrkSummary } from '../ratios/wrk.ts'
import type { GrowthPoint } from '../report/document.ts'
import { cpuMs, redisCpuMs } from './cpu.ts'
import { openSockets } from './sockets.ts'

export interface PointSettings {
  readonly nodes: number
  /** Beside the first, which nobody buys here. */
  readonly fares: number
  readonly buyersBefore: number
  readonly sockets: number
}

export interface PointLoad {
  readonly directory: string
  readonly secret: string
  readonly file: RequestFile
  readonly seconds: number
  readonly connections: number
}

const STOCK = 5_000_000
/** Behind the buyers of the file of requests. */
const FIRST_BEFORE = 100_000_000
const FILL_BATCH = 500
const WARM_UP_COUNT = 110_000
const WARM_UP_SECONDS = 1
/** Nodes have heard of a zero by then, and those who fell silent are out of the shares. */
const HEARD_AFTER_MS = 2000

export async function measurePoint(x: number, settings: PointSettings, load: PointLoad): Promise<GrowthPoint> {
  const { nodes, fares, buyersBefore, sockets } = settings
  let redisFilledMs = Number.NaN
  const prepare = async (stock: RedisStock, redis: RedisSite): Promise<void> => {
    await fill(stock, buyersBefore)
    redisFilledMs = await redisCpuMs(redis.client)
  }
  const { directory, secret } = load
  const site = await Site.start(directory, secret, { fsync: 'always', stock: STOCK, node: {}, nodes, fares, prepare })
  const opened: (() => void)[] = []
  try {
    await site.settled()
    const startMs = nodesCpuMs(site) + (await redisCpuMs(site.redis.client)) - redisFilledMs
    opened.push(await openSockets(site.url, sockets))
    const purchases = await measurePurchases(site, load)
    const faults = await site.faults(['won'], buyersBefore)
    await sellOut(site, fares)
    const refusals = await measureRefusals(site, load)
    return {
      x,
      ...purchases.figures,
      ...refusals.figures,
      startMs,
      faults: [...faults, ...purchases.faults, ...refusals.faults],
    }
  } finally {
    for (const close of opened) close()
    await site.stop()
  }
}

/** So many orders of others, as they would be there from before. */
async function fill(stock: RedisStock, count: number): Promise<void> {
  if (count === 0) return
  const confirmer = await Confirmer.join(stock, 'before', FIRST_BEFORE)
  for (let made = 0; made < count; made += FILL_BATCH) await confirmer.confirm(Math.min(FILL_BATCH, count - made))
}

/**
 * Which requests of the file are for what. Whoever is refused must not have bought: with many nodes each begins at its
 * own part of the purchases, so that those at the far end are sent as well.
 */
export function partsOf(file: Pick<RequestFile, 'count'>) {
  const purchases = file.count - WARM_UP_COUNT - KNOWN_TOKENS
  return {
    warmUp: { first: 0, count: WARM_UP_COUNT },
    purchases: { first: WARM_UP_COUNT, count: purchases },
    known: { first: WARM_UP_COUNT + purchases, count: KNOWN_TOKENS },
  }
}

async function measurePurchases(site: Site, load: PointLoad) {
  const { warmUp, purchases } = partsOf(load.file)
  await run(site, load, { seconds: WARM_UP_SECONDS, ...warmUp })
  const before = { won: (await site.outcomes())['won'] ?? Number.NaN, calls: await site.confirmCalls() }
  const spent = await cpuOf(site, () => run(site, load, { seconds: load.seconds, ...purchases }))
  const won = ((await site.outcomes())['won'] ?? Number.NaN) - before.won
  const calls = (await site.confirmCalls()) - before.calls
  const figures = {
    purchaseNodeUs: (spent.nodesMs * 1000) / won,
    purchaseRedisUs: (spent.redisMs * 1000) / won,
    purchasesPerCall: won / calls,
  }
  return { figures, faults: wrkFaults(spent.wrk, 'accepted') }
}

async function measureRefusals(site: Site, load: PointLoad) {
  const { known } = partsOf(load.file)
  const { connections, urls } = connectionsOf(site, load)
  const all = { url: site.url, urls, connections, file: load.file, ...known, seconds: WARM_UP_SECONDS }
  await showTokens(all, async () => refusedOf(await site.outcomes()))
  const before = await site.outcomes()
  const spent = await cpuOf(site, () => run(site, load, { ...known, seconds: load.seconds }))
  const meanwhile = since(before, await site.outcomes())
  const refused = refusedOf(meanwhile)
  const figures = { refusalNodeUs: (spent.nodesMs * 1000) / refused, refusalRedisUs: (spent.redisMs * 1000) / refused }
  // What else was answered says where to look.
  const faults = wrkFaults(spent.wrk, 'refused').map((fault) => `${fault}; the nodes say ${JSON.stringify(meanwhile)}`)
  return { figures, faults }
}

function since(before: Readonly<Record<string, number>>, now: Readonly<Record<string, number>>) {
  return told(Object.fromEntries(Object.entries(now).map(([name, count]) => [name, count - (before[name] ?? 0)])))
}

function run(
  site: Site,
  load: PointLoad,
  part: { seconds: number; first: number; count: number },
): Promise<WrkSummary> {
  return runWrk({ url: site.url, ...connectionsOf(site, load), file: load.file, ...part })
}

/** As many for each node. */
function connectionsOf({ urls }: Site, load: PointLoad): { urls: readonly string[]; connections: number } {
  return { urls, connections: Math.max(urls.length, load.connections - (load.connections % urls.length)) }
}

function refusedOf(outcomes: Readonly<Record<string, number>>): number {
  return (outcomes['all_held'] ?? 0) + (outcomes['sold_out'] ?? 0)
}

function nodesCpuMs({ pids }: Site): number {
  return pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
}

async function cpuOf(site: Site, work: () => Promise<WrkSummary>) {
  const read = async () => ({
    nodesMs: nodesCpuMs(site),
    redisMs: await redisCpuMs(site.redis.client),
  })
  const before = await read()
  const wrk = await work()
  const after = await read()
  return { wrk, nodesMs: after.nodesMs - before.nodesMs, redisMs: after.redisMs - before.redisMs }
}

/** Lowers every stock to what is held, and waits until all nodes must have heard. */
async function sellOut(site: Site, fares: number): Promise<void> {
  for (let n = 0; n <= fares; n += 1) {
    for (let isDone = false; !isDone;) {
      const sale = await site.stock.sales.read(SALE, RULES)
      const fare = sale?.fares.find(({ fareId }) => fareId === fareAt(n))
      if (sale === null || fare === undefined) throw new Error(`fare ${fareAt(n)} is gone`)
      const reply = await site.stock.sales.setStock(SALE, fare.fareId, fare.held + fare.paid, sale.version)
      isDone = reply.outcome === 'changed' || reply.outcome === 'unchanged'
    }
  }
  await new Promise((resolve) => setTimeout(resolve, HEARD_AFTER_MS))
}
