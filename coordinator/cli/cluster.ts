/**
 * How a command reaches the cluster: through the coordinator that leads, or, on the machine of the cluster's
 * directory and with no coordinator alive, straight through the store. Nothing that a buyer needs depends on a
 * coordinator, so neither does looking, opening, pausing or closing.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bufferRule } from '../../config/buffer-rule.ts'
import { describeFaults } from '../../config/faults.ts'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import type { StockPort } from '../../stock/port.ts'
import { hostname, userInfo } from 'node:os'
import { toldAsker } from '../../http/node-journal.ts'
import { nodeAsker } from '../../http/node-report.ts'
import { ordersDoor } from '../operations/orders-door.ts'
import { realWorld, type World } from '../operations/world.ts'
import { pinnedFetch } from '../../http/pinned-fetch.ts'
import { certificateOf, readCluster } from '../supervise/cluster-file.ts'
import { CliError, EXIT, refusal, type CommonOptions } from './frame.ts'
import { connectStockWithin } from './stock.ts'

export interface AdminCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
}

/** What the direct way has at hand. */
export interface DirectWorld extends World {
  readonly declaredDurable: boolean
}

const PROBE_MS = 600
const STORE_WITHIN_MS = 800
const CALL_MS = 30_000
/** An audit reads every order. */
const AUDIT_MS = 600_000
const LEADER_WITHIN_MS = 2500

/** Asks the coordinator; with none alive does it here, where `direct` says how. Answers the same either way. */
export async function ask<T>(
  common: CommonOptions,
  call: AdminCall,
  direct: ((world: DirectWorld) => Promise<T>) | null,
): Promise<T> {
  const pass = passOf(common)
  const tried = adminUrls(common)
  const adminUrl = await firstToAnswer(tried, pass)
  if (adminUrl !== null) return (await callLeader(adminUrl, pass, call)) as T
  if (common.admin !== undefined) {
    throw new CliError(EXIT.noCluster, 'no_cluster', `no coordinator answers at ${common.admin}`)
  }
  return withStore(common, async (world) => {
    // A coordinator that `up` did not start is known to the store.
    const { leader } = await world.port.fleet.read()
    if (leader !== null && !tried.includes(leader.adminUrl) && (await answers(leader.adminUrl, pass))) {
      return (await callLeader(leader.adminUrl, pass, call)) as T
    }
    if (direct !== null) return direct(world)
    throw new CliError(EXIT.noCluster, 'no_coordinator', needsCoordinator(common))
  })
}

function needsCoordinator({ dir }: CommonOptions): string {
  return `this needs a coordinator and none answers: start one with "farebox run coordinator --dir ${dir} --id c1"`
}

function adminUrls(common: CommonOptions): string[] {
  if (common.admin !== undefined) return [common.admin]
  const cluster = readCluster(common.dir)
  if (cluster === null && !existsSync(join(common.dir, 'config.yaml'))) {
    const message = `there is no cluster in ${common.dir}: start one with "farebox up", or name it with --dir or --admin`
    throw new CliError(EXIT.noCluster, 'no_cluster', message)
  }
  return cluster?.coordinators.map(({ adminUrl }) => adminUrl) ?? []
}

/** What a coordinator wants to see, and what it has to show. */
interface Pass {
  readonly token: string
  /** Of the directory's coordinator; null when it has none, or is not known. */
  readonly certificate: string | null
}

function passOf(common: CommonOptions): Pass {
  const coordinator = common.admin === undefined ? readCluster(common.dir)?.coordinators[0] : undefined
  return { token: readToken(common), certificate: coordinator === undefined ? null : certificateOf(coordinator) }
}

function readToken(common: CommonOptions): string {
  const path = common.tokenFile ?? join(common.dir, 'admin.token')
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (common.tokenFile === undefined && common.admin === undefined) return ''
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(EXIT.usage, 'bad_token_file', `the admin token cannot be read: ${why}`)
  }
}

/** All are asked at once: some may be stopped, and each of those takes the whole time. */
async function firstToAnswer(urls: readonly string[], pass: Pass): Promise<string | null> {
  const asked = urls.map(async (url) => ((await answers(url, pass)) ? url : Promise.reject(new Error(url))))
  return Promise.any(asked).catch(() => null)
}

async function answers(adminUrl: string, { certificate }: Pass): Promise<boolean> {
  try {
    const init = { signal: AbortSignal.timeout(PROBE_MS) }
    const response = await pinnedFetch(new URL('/healthz', adminUrl), init, certificate)
    void response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

/** The same for what is too long for one piece, such as an export. */
export async function askStream(common: CommonOptions, path: string): Promise<AsyncIterable<string>> {
  const pass = passOf(common)
  const adminUrl = await firstToAnswer(adminUrls(common), pass)
  if (adminUrl !== null) return streamFromLeader(adminUrl, pass, path)
  if (common.admin !== undefined) {
    throw new CliError(EXIT.noCluster, 'no_cluster', `no coordinator answers at ${common.admin}`)
  }
  return withStore(common, async (world) => (await world.orders.stream(path)).text)
}

async function streamFromLeader(adminUrl: string, pass: Pass, path: string): Promise<AsyncIterable<string>> {
  const response = await open(adminUrl, pass, path)
  if (response.ok) return textOf(response)
  const error = errorOf({ ok: false, body: await response.json() })
  const leaderUrl = error?.code === 'not_leader' ? leaderUrlOf(error) : null
  if (leaderUrl === null) throw error ?? new CliError(EXIT.refused, 'internal', `the answer was ${response.status}`)
  return streamFromLeader(leaderUrl, pass, path)
}

async function open(adminUrl: string, { token, certificate }: Pass, path: string): Promise<Response> {
  try {
    const headers = { authorization: `Bearer ${token}`, 'x-farebox-user': caller() }
    return await pinnedFetch(new URL(path, adminUrl), { headers }, certificate)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(EXIT.noCluster, 'no_cluster', `the coordinator at ${adminUrl} does not answer: ${why}`)
  }
}

async function* textOf(response: Response): AsyncIterable<string> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
    yield decoder.decode(piece, { stream: true })
  }
  yield decoder.decode()
}

interface Answer {
  readonly ok: boolean
  readonly body: unknown
}

/**
 * Follows the way to the leader. While nobody leads, or whoever led does not any more and has just begun to again, asks
 * again for a moment: what `not_leader` refuses is not done.
 */
async function callLeader(adminUrl: string, pass: Pass, call: AdminCall): Promise<unknown> {
  const deadline = performance.now() + LEADER_WITHIN_MS
  for (let [url, asked] = [adminUrl, 1]; ; asked += 1) {
    const answer = await send(url, pass, call)
    const error = errorOf(answer)
    if (error === null) return answer.body
    if (error.code !== 'not_leader' || performance.now() > deadline) throw error
    const leaderUrl = leaderUrlOf(error)
    if (leaderUrl === null || asked > 1) await sleep(100)
    url = leaderUrl ?? url
  }
}

async function send(
  adminUrl: string,
  { token, certificate }: Pass,
  { method, path, body }: AdminCall,
): Promise<Answer> {
  const timeoutMs = path.endsWith('/audit') ? AUDIT_MS : CALL_MS
  try {
    const init = {
      method,
      headers: { authorization: `Bearer ${token}`, 'x-farebox-user': caller() },
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    }
    const response = await pinnedFetch(new URL(path, adminUrl), init, certificate)
    return { ok: response.ok, body: await response.json() }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CliError(EXIT.noCluster, 'no_cluster', `the coordinator at ${adminUrl} does not answer: ${why}`)
  }
}

/** Who asks, for the audit log: the token says only with which right. */
function caller(): string {
  let name: string
  try {
    name = userInfo().username
  } catch {
    name = `uid-${process.getuid?.() ?? 'unknown'}`
  }
  return `${name}@${hostname()}`.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 128)
}

function errorOf({ ok, body }: Answer): CliError | null {
  if (ok) return null
  const { error } = body as { error?: { code?: string; message?: string; details?: unknown } }
  return refusal(error?.code ?? 'internal', error?.message ?? 'the coordinator failed', error?.details ?? null)
}

function leaderUrlOf(error: CliError): string | null {
  const { adminUrl } = (error.details ?? {}) as { adminUrl?: string | null }
  return adminUrl ?? null
}

/** Opens the directory's store for the time of the work. */
async function withStore<T>(common: CommonOptions, work: (world: DirectWorld) => Promise<T>): Promise<T> {
  const loaded = loadDirConfig(common.dir, {})
  const { config } = loaded
  const url = config.redis.url ?? readCluster(common.dir)?.redis.url ?? null
  if (url === null) throw new CliError(EXIT.noCluster, 'no_cluster', `nothing says which Redis ${common.dir} uses`)
  let port: StockPort
  try {
    port = await connectStockWithin(url, config.redis.commandTimeoutMs, STORE_WITHIN_MS)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const message = `neither a coordinator nor Redis answers: ${why}. Start the cluster with "farebox up --dir ${common.dir}"`
    throw new CliError(EXIT.noCluster, 'no_cluster', message)
  }
  try {
    const rules = { buffer: bufferRule(config.quota.buffer), deadAfterMs: config.deadAfterMs }
    const token = readToken(common)
    const known = token === '' ? null : token
    const world = realWorld({
      port,
      rules,
      askNode: nodeAsker(known),
      askTold: toldAsker(known),
      orders: ordersDoor(port.fleet, known),
    })
    return await work({ ...world, declaredDurable: config.redis.durable })
  } finally {
    await port.close()
  }
}

/** The configuration of a cluster directory; all faults at once are a usage error. */
export function loadDirConfig(dir: string, flags: Readonly<Record<string, unknown>>): LoadedConfig {
  const path = join(dir, 'config.yaml')
  const loaded = loadConfig({ file: existsSync(path) ? path : null, environment: process.env, flags })
  if (loaded.ok) return loaded.value
  throw new CliError(EXIT.usage, 'bad_config', describeFaults(loaded.faults), { faults: loaded.faults })
}
