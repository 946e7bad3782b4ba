/** Who runs against whom: each takes one sample, from its own fresh start. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Sample } from '../report/verdicts.ts'
import { SERVER_CORE, start, until } from '../cluster/processes.ts'
import { freePort } from '../../runtime/free-ports.ts'
import { requestText, type RequestFile } from './requests.ts'
import { Site, type SiteSettings } from './site.ts'
import { type Load, runWrk, type WrkSummary } from './wrk.ts'

export interface Plan {
  readonly directory: string
  readonly secret: string
  readonly file: RequestFile
  /** Of a duel; rounds where it is one against two. */
  readonly pairs: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly connections: number
  /** Requests set aside for warming up, from the front of the file. */
  readonly warmUpCount: number
}

export interface Measured extends Sample {
  readonly contender: string
  readonly p50Ms: number
  readonly p99Ms: number
  /** By how the requests ended, as the server counted them. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Confirm calls per ticket; absent where there are none. */
  readonly callsPerTicket?: number
}

export interface Contender {
  readonly name: string
  run(plan: Plan): Promise<Measured>
}

const BARE = fileURLToPath(new URL('../baselines/bare.js', import.meta.url))
const HUGE_STOCK = 5_000_000
/** A third of what the node's table of tokens has room for: a token that it saw before is one that it knows. */
export const KNOWN_TOKENS = 40_000

export const BATCHED: SiteSettings = { fsync: 'off', stock: HUGE_STOCK, node: {} }
const ONE_CALL_EACH = { BATCH_MAX_ITEMS: '1' }

export function purchases(
  fsync: SiteSettings['fsync'],
  kind: 'batched' | 'single' | 'single autopipelined',
): Contender {
  const node = {
    ...(kind === 'batched' ? {} : ONE_CALL_EACH),
    ...(kind === 'single autopipelined' ? { REDIS_AUTO_PIPELINING: 'true' } : {}),
    // One call in flight per item: what a node without batches does.
    ...(kind === 'batched' ? {} : { BATCH_MAX_IN_FLIGHT: '64' }),
  }
  const name = `node, ${kind === 'batched' ? 'as it is' : `batch.maxItems 1, ${kind}`}, fsync ${fsync}`
  return { name, run: (plan) => samplePurchases(plan, name, { ...BATCHED, fsync, node }) }
}

async function samplePurchases(plan: Plan, contender: string, settings: SiteSettings): Promise<Measured> {
  const { file, seconds, connections, warmUpCount } = plan
  return withSite(plan, settings, async (site) => {
    const url = site.url
    await runWrk({ url, connections, seconds: plan.warmUpSeconds, file, first: 0, count: warmUpCount })
    const before = { won: (await site.outcomes())['won'] ?? Number.NaN, calls: await site.confirmCalls() }
    const count = file.count - warmUpCount
    const wrk = await runWrk({ url, connections, seconds, file, first: warmUpCount, count })
    const outcomes = await site.outcomes()
    const won = (outcomes['won'] ?? Number.NaN) - before.won
    const faults = [...(await site.faults(['won'])), ...wrkFaults(wrk, 'accepted')]
    const callsPerTicket = ((await site.confirmCalls()) - before.calls) / won
    return { contender, perSecond: won / wrk.seconds, ...times(wrk), outcomes: told(outcomes), callsPerTicket, faults }
  })
}

/** One ticket, bought by a buyer outside the file; then nobody gets any. */
export const refusals: Contender = {
  name: 'node, refusals after zero',
  run: (plan) =>
    withSite(plan, { ...BATCHED, stock: 1 }, async (site) => {
      const { url } = site
      const { file, seconds, connections } = plan
      const only = { url, connections: 1, file, first: file.count - 1, count: 1 }
      await runWrk({ ...only, seconds: 1 })
      const known = { url, connections, file, first: 0, count: KNOWN_TOKENS, seconds }
      await showTokens({ ...known, seconds: Math.max(2, plan.warmUpSeconds) }, async () => {
        return (await site.outcomes())['all_held'] ?? 0
      })
      const before = await site.outcomes()
      const wrk = await runWrk(known)
      const after = await site.outcomes()
      const refused = (after['all_held'] ?? Number.NaN) - (before['all_held'] ?? Number.NaN)
      const faults = [...(await site.faults(['won', 'replayed', 'all_held'])), ...wrkFaults(wrk, 'refused')]
      if (after['replayed'] !== before['replayed']) faults.push('a refused buyer was answered with an order')
      if ((before['all_held'] ?? 0) < KNOWN_TOKENS) faults.push('not every token was seen once before')
      const outcomes = told(after)
      return { contender: refusals.name, perSecond: refused / wrk.seconds, ...times(wrk), outcomes, faults }
    }),
}

const SHOW_TIMES_MAX = 10

/** Sends requests until each token was seen once, as often as a slow machine needs; a fast one knows all after one. */
export async function showTokens(load: Load, seen: () => Promise<number>): Promise<void> {
  const before = await seen()
  for (let times = 0; times < SHOW_TIMES_MAX; times += 1) {
    const shown = (await seen()) - before
    if (times > 0 && shown >= load.count) return
    const done = Math.min(shown, load.count - load.connections)
    await runWrk({ ...load, first: load.first + done, count: load.count - done })
  }
}

export function bare(kind: 'purchase' | 'refusal'): Contender {
  const name = `bare uWebSockets.js route answering a ${kind}`
  return { name, run: (plan) => withBare(plan, kind, (url) => sampleBare(plan, kind, name, url)) }
}

async function sampleBare(plan: Plan, kind: 'purchase' | 'refusal', contender: string, url: string): Promise<Measured> {
  const { file, seconds, connections, warmUpCount } = plan
  const isRefusal = kind === 'refusal'
  const range = isRefusal ? { first: 0, count: KNOWN_TOKENS } : { first: warmUpCount, count: file.count - warmUpCount }
  await runWrk({ url, connections, seconds: plan.warmUpSeconds, file, first: 0, count: Math.min(warmUpCount, 1000) })
  const wrk = await runWrk({ url, connections, seconds, file, ...range })
  const faults = wrkFaults(wrk, isRefusal ? 'refused' : 'accepted')
  const outcomes = { [isRefusal ? 'refused' : 'answered']: wrk.requests }
  return { contender, perSecond: wrk.requests / wrk.seconds, ...times(wrk), outcomes, faults }
}

export function times({ p50Ms, p99Ms }: WrkSummary): { p50Ms: number; p99Ms: number } {
  return { p50Ms, p99Ms }
}

/** Without those that never happened. */
export function told(outcomes: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(outcomes).filter(([, count]) => count > 0))
}

export async function withSite<T>(plan: Plan, settings: SiteSettings, work: (site: Site) => Promise<T>): Promise<T> {
  const site = await Site.start(plan.directory, plan.secret, settings)
  try {
    return await work(site)
  } finally {
    await site.stop()
  }
}

export async function withBare<T>(
  plan: Plan,
  kind: 'purchase' | 'refusal',
  work: (url: string) => Promise<T>,
): Promise<T> {
  const port = await freePort()
  const server = start({
    core: SERVER_CORE,
    program: process.execPath,
    args: [BARE, String(port), kind],
    logPath: join(plan.directory, 'bare.log'),
  })
  const url = `http://127.0.0.1:${port}`
  try {
    await until('the bare server', 10_000, async () => (await fetch(url)).status === 404 || true)
    return await work(url)
  } finally {
    await server.stop()
  }
}

export function wrkFaults(wrk: WrkSummary, all: 'accepted' | 'refused'): string[] {
  const faults = wrk.socketErrors > 0 ? [`wrk had ${wrk.socketErrors} socket errors or timeouts`] : []
  const wanted = all === 'refused' ? wrk.requests : 0
  if (wrk.refused !== wanted) faults.push(`wrk counted ${wrk.refused} refusals of ${wrk.requests}; expected ${wanted}`)
  return faults
}

/** A single answer to the same request, to see that node and bare route answer alike. */
export async function answerShape(url: string, token: string, key: string): Promise<string> {
  const path = requestText(token, key).split(' ')[1] ?? ''
  const headers = { authorization: `Bearer ${token}`, 'idempotency-key': key, 'content-type': 'application/json' }
  const answer = await fetch(url + path, { method: 'POST', headers, body: '{"quantity":1}' })
  const names = [...answer.headers.keys()].filter((name) => name !== 'uwebsockets' && name !== 'date').toSorted()
  const body = (await answer.json()) as object
  return JSON.stringify([answer.status, names, Object.keys(body), JSON.stringify(body).length])
}
