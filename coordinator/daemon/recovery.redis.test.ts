/** A real Redis that is killed, comes back, and comes back with less; a real coordinator; nodes that only report. */
import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { StockPort } from '../../stock/port.ts'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { DEMO } from '../operations/test-world.ts'
import type { StatusView } from '../operations/status.ts'
import { runCoordinator, type Coordinator } from './main.ts'
import { readIfThere } from '../../runtime/durable-file.ts'
import { SILENT } from '../../runtime/log.ts'

const rules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
let directory = ''
let redisPort = 0
let redis: ChildProcess | null = null
let port: StockPort
let coordinator: Coordinator | null = null
let nodeServer: Server | null = null

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => {
    server.close(resolve)
  })
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const found = await look().catch(() => null)
    if (found !== null && found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`)
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
  }
}

async function startRedis(appendfsync = 'always'): Promise<void> {
  const settings = { port: redisPort, dir: directory, appendonly: 'yes', appendfsync, save: '', bind: '127.0.0.1' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  redis = spawn('redis-server', args, { stdio: 'ignore' })
  await until('Redis answers', async () => {
    const probe = await connectRedisStock({ url: url(), commandTimeoutMs: 500 })
    await probe.close()
    return true
  })
}

async function killRedis(): Promise<void> {
  const dying = redis
  if (dying === null || dying.exitCode !== null || dying.signalCode !== null) return
  const gone = new Promise((resolve) => {
    dying.once('exit', resolve)
  })
  dying.kill('SIGKILL')
  await gone
}

function url(): string {
  return `redis://127.0.0.1:${redisPort}`
}

async function startCoordinator(): Promise<Coordinator> {
  coordinator = await runCoordinator({
    id: 'c1',
    directory: join(directory, 'cluster'),
    adminPort: 0,
    port,
    rules,
    declaredDurable: false,
    log: SILENT,
    everyMs: 50,
  })
  return coordinator
}

async function admin(method: string, path: string): Promise<{ status: number; body: unknown }> {
  const token = (await readIfThere(join(directory, 'cluster', 'admin.token')))?.trim() ?? ''
  const response = await fetch(`${coordinator?.adminUrl ?? ''}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  })
  return { status: response.status, body: await response.json() }
}

async function demoStatus(): Promise<StatusView['sales'][number] | null> {
  const { status, body } = await admin('GET', '/admin/status')
  return status === 200 ? ((body as StatusView).sales.find(({ id }) => id === 'demo') ?? null) : null
}

/** Waits until `status` says that the sale is recovering, and why. */
async function untilMissing(reason: string): Promise<void> {
  await until(reason, async () => {
    const sale = await demoStatus()
    return sale?.recovering === true && sale.missing.join().includes(reason)
  })
}

function demo() {
  return port.sales.read('demo', rules)
}

/** A node that has seen this much, and does nothing but say so. */
async function startWitness(seen: { era: number; seq: number }): Promise<void> {
  const adminPort = await freePort()
  const sale = { saleId: 'demo', ...seen, lastWriteSeq: 0, fares: [] }
  nodeServer = createServer((_request, response) => {
    response.end(JSON.stringify({ nodeId: 'n1', epoch: 1, state: 'live', sales: [sale] }))
  })
  await new Promise<void>((resolve) => {
    nodeServer?.listen(adminPort, '127.0.0.1', resolve)
  })
  await port.fleet.join({ id: 'n1', url: 'http://127.0.0.1:1', adminUrl: `http://127.0.0.1:${adminPort}`, weight: 1 })
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-recovery-'))
  redisPort = await freePort()
  await startRedis()
  port = await connectRedisStock({ url: url(), commandTimeoutMs: 500 })
  await startCoordinator()
  await until(
    'leads',
    async () => (await demoStatus()) === null && (await admin('GET', '/admin/status')).status === 200,
  )
  await port.sales.create(DEMO, 2)
  await port.fleet.addSale('demo')
  await port.sales.change('demo', 'open', { era: 0, seq: 0 })
  const marks = join(directory, 'cluster', 'marks-c1.json')
  await until('a mark is on disk', async () => (await readIfThere(marks))?.includes('"seq": 2') === true)
})

afterEach(async () => {
  await coordinator?.stop().catch(() => {})
  coordinator = null
  await port.close()
  nodeServer?.close()
  nodeServer?.closeAllConnections()
  nodeServer = null
  await killRedis()
  await rm(directory, { recursive: true, force: true })
})

describe('Redis killed with -9 and started again by hand', () => {
  it('heals by itself within two seconds, under a new era', async () => {
    const before = await demo()
    await killRedis()
    await startRedis()
    const startedAtMs = performance.now()
    const after = await until('certified anew', async () => {
      const sale = await demo()
      return sale !== null && sale.certified && sale.version.era > (before?.version.era ?? 0) && sale
    })
    expect(performance.now() - startedAtMs).toBeLessThan(2000)
    expect(after.state).toBe('open')
    expect(after.version.seq).toBeGreaterThan(before?.version.seq ?? 0)
    expect((await port.fleet.read()).certified).toBe(true)
  })

  it('stays recovering when a live node has seen more, until the operator decides', async () => {
    await startWitness({ era: 2, seq: 9 })
    await killRedis()
    await startRedis()
    await untilMissing('era 2 seq 9')
    expect((await admin('POST', '/admin/sales/demo/recover')).status).toBe(200)
    const after = await demo()
    expect(after?.certified).toBe(true)
    expect(after?.version.seq).toBeGreaterThan(9)
  })

  it('stays recovering when it comes back without fsync always', async () => {
    await killRedis()
    await startRedis('everysec')
    await untilMissing('appendfsync is everysec')
    expect((await demo())?.certified).toBe(false)
  })

  it('an older copy of its files is not sold from', async () => {
    await killRedis()
    const copy = join(directory, 'copy')
    await cp(join(directory, 'appendonlydir'), copy, { recursive: true })
    await startRedis()
    await until('certified', async () => (await demo())?.certified === true)
    const version = (await demo())?.version ?? { era: 0, seq: 0 }
    await port.sales.change('demo', 'pause', version)
    await port.sales.change('demo', 'open', version)
    await coordinator?.stop()
    await killRedis()
    await rm(join(directory, 'appendonlydir'), { recursive: true })
    await cp(copy, join(directory, 'appendonlydir'), { recursive: true })
    await startRedis()
    await startCoordinator()
    await untilMissing('behind the mark')
    expect((await demo())?.certified).toBe(false)
  })

  it('an older copy of its keys, restored in place under the same fingerprint, is not sold from', async () => {
    const client = new Redis(url())
    try {
      const keys = (await client.keys('*')).filter((key) => key.includes('demo'))
      const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)))
      const version = (await demo())?.version ?? { era: 0, seq: 0 }
      await port.sales.change('demo', 'pause', version)
      await port.sales.change('demo', 'open', version)
      await until('seen', async () => ((await demoStatus())?.version?.seq ?? 0) > version.seq)
      await until('marked', async () =>
        (await readIfThere(join(directory, 'cluster', 'marks-c1.json')))?.includes(`"seq": ${version.seq + 2}`),
      )
      for (const [index, key] of keys.entries()) await client.restore(key, 0, dumps[index] ?? Buffer.of(), 'REPLACE')
      await untilMissing('behind the mark')
      expect((await demo())?.certified).toBe(false)
    } finally {
      client.disconnect()
    }
  })
})
