/** A real Redis that is killed, comes back, and comes back with less; rounds as they run; nodes that only report. */
import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SaleFile } from '../../config/sale-file.ts'
import type { StockPort } from '../../stock/port.ts'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { nodeAsker } from '../../http/node-report.ts'
import { systemClock } from '../../runtime/clock.ts'
import { freePort } from '../../runtime/free-ports.ts'
import { inMemoryOrders, type InMemoryOrders } from '../testing/in-memory-orders.ts'

const DEMO: SaleFile = {
  id: 'demo',
  name: 'Demo',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 2,
  holdMs: 300_000,
  fares: [{ id: 'second', name: 'Second', price: { amount: 100, currency: 'CNY' }, stock: 100 }],
}
const rules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
let directory = ''
let redisPort = 0
let redis: ChildProcess | null = null
let port: StockPort
let orders: InMemoryOrders
let ledgerOf: InMemoryOrders
let nodeServer: Server | null = null

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

/** Another process each time, on the same ledger. */
function startOrders(): void {
  const common = { port, rules, nowMs: () => systemClock.nowMs(), askNode: nodeAsker(null) }
  orders = inMemoryOrders({ ...common, everyMs: 50, shared: ledgerOf })
  orders.rounds.start()
}

function reasons(): string {
  return orders.recovery.caseOf('demo')?.reasons.join() ?? ''
}

function recover() {
  return orders.answer({ method: 'POST', path: '/admin/sales/demo/recover', query: new URLSearchParams(), body: '' })
}

async function watermarkSeq(): Promise<number> {
  return (await orders.ledger.sale('demo'))?.watermark.version.seq ?? 0
}

async function untilMissing(reason: string): Promise<void> {
  await until(reason, async () => reasons().includes(reason))
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
  ledgerOf = inMemoryOrders({ port, rules, nowMs: () => systemClock.nowMs(), askNode: nodeAsker(null) })
  startOrders()
  await port.fleet.certify(0, 1)
  await orders.acts.create(DEMO)
  await orders.acts.change('demo', 'open')
  await until('a watermark is in the ledger', async () => (await watermarkSeq()) === 2)
})

afterEach(async () => {
  await orders.rounds.stop().catch(() => {})
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
  })

  it('stays recovering when a live node has seen more, until the operator decides', async () => {
    await startWitness({ era: 1, seq: 9 })
    await killRedis()
    await startRedis()
    await untilMissing('era 1 seq 9')
    expect(await recover()).toMatchObject({ status: 200 })
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
    await orders.rounds.stop()
    await killRedis()
    await rm(join(directory, 'appendonlydir'), { recursive: true })
    await cp(copy, join(directory, 'appendonlydir'), { recursive: true })
    await startRedis()
    startOrders()
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
      await until('marked', async () => (await watermarkSeq()) === version.seq + 2)
      for (const [index, key] of keys.entries()) await client.restore(key, 0, dumps[index] ?? Buffer.of(), 'REPLACE')
      await untilMissing('behind the mark')
      expect((await demo())?.certified).toBe(false)
    } finally {
      client.disconnect()
    }
  })
})
