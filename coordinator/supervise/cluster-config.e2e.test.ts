import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { clusterPaths, readOperatorConfig, writeClusterConfig } from './cluster-config.ts'
import { planLayout } from './layout.ts'

let dir = ''
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'farebox-config-'))))
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function written(text: string | null, environment: NodeJS.ProcessEnv = {}): unknown {
  const path = join(dir, 'operator.yaml')
  if (text !== null) writeFileSync(path, text)
  const operator = readOperatorConfig(text === null ? null : path, environment)
  writeClusterConfig(dir, operator, operator.redisUrl ?? 'redis://127.0.0.1:1')
  return parse(readFileSync(clusterPaths(dir).config, 'utf8'))
}

describe('the cluster’s configuration', () => {
  it('adds where Redis is and a secret of its own, which stays the same', () => {
    const { secret: secretFile, sandboxSecret } = clusterPaths(dir)
    const ledger = { url: `pglite://${join(dir, 'ledger')}` }
    const payment = { sandbox: { secretFile: sandboxSecret } }
    expect(written(null)).toEqual({ redis: { url: 'redis://127.0.0.1:1' }, ledger, identity: { secretFile }, payment })
    expect(statSync(sandboxSecret).mode & 0o777).toBe(0o600)
    const secret = readFileSync(secretFile, 'utf8')
    expect(written('ack: redis\nredis: { commandTimeoutMs: 300 }\n')).toEqual({
      ack: 'redis',
      redis: { commandTimeoutMs: 300, url: 'redis://127.0.0.1:1' },
      ledger,
      identity: { secretFile },
      payment,
    })
    expect(readFileSync(secretFile, 'utf8')).toBe(secret)
  })

  it('keeps the operator’s Redis, ledger and identity, from file or environment', () => {
    const lines = ['redis: { url: "redis://r:1" }', 'ledger: { url: "postgres://p/f" }', 'identity: { secretFile: /s }']
    const payment = { sandbox: { secretFile: '/p', delayMs: 5 } }
    const text = [...lines, 'payment: { sandbox: { secretFile: /p, delayMs: 5 } }', ''].join('\n')
    expect(written(text)).toEqual({
      payment,
      redis: { url: 'redis://r:1' },
      ledger: { url: 'postgres://p/f' },
      identity: { secretFile: '/s' },
    })
    const environment = {
      FAREBOX_REDIS_URL: 'redis://e:2',
      FAREBOX_LEDGER_URL: 'postgres://e/f',
      FAREBOX_IDENTITY_SECRET: 'x'.repeat(32),
      FAREBOX_PAYMENT_SANDBOX_SECRET: 'x'.repeat(32),
    }
    const ledger = { url: 'postgres://e/f' }
    expect(written(null, environment)).toEqual({ redis: { url: 'redis://e:2' }, ledger })
  })

  it('refuses what is no mapping or no YAML', () => {
    for (const text of ['- a', 'a: [', '"text"']) expect(() => written(text)).toThrow('configuration')
  })
})

describe('the layout', () => {
  const request = {
    dir: '/d',
    nodes: null,
    weights: null,
    port: 0,
    redisUrl: null,
    ordersProcesses: 1,
    admin: { host: '127.0.0.1', certFile: null },
  }

  it('has four nodes of weight 1 by default, each port once', async () => {
    const { nodes, orders, redis, coordinators, nginx } = await planLayout(request, null)
    expect(nodes.map(({ id, weight }) => `${id}=${weight}`)).toEqual(['n1=1', 'n2=1', 'n3=1', 'n4=1'])
    const urls = [
      redis.url,
      ...coordinators.map((one) => one.adminUrl),
      ...[...nodes, ...orders].flatMap((one) => [one.url, one.adminUrl]),
    ]
    const ports = [...urls.map((url) => Number(new URL(url).port)), nginx.port, nginx.statusPort]
    expect(orders.map(({ id }) => id)).toEqual(['o1'])
    expect(new Set(ports).size).toBe(14)
    expect(ports.every((port) => port > 0)).toBe(true)
  })

  it('keeps stored ports where they are free, and takes others elsewhere', async () => {
    const before = await planLayout({ ...request, weights: [1, 2] }, null)
    const again = await planLayout({ ...request, port: null }, before)
    expect(again).toEqual(before)
    const { createServer } = await import('node:net')
    const stranger = createServer()
    await new Promise<void>((done) =>
      stranger.listen(Number(new URL(before.nodes[0]?.url ?? '').port), '127.0.0.1', done),
    )
    const moved = await planLayout({ ...request, port: null }, before)
    expect(moved.nodes[0]?.url).not.toBe(before.nodes[0]?.url)
    expect(moved.nodes[1]).toEqual(before.nodes[1])
    await new Promise((done) => stranger.close(done))
  })

  it('uses the operator’s Redis, and refuses weights that do not fit or a port that is taken', async () => {
    expect((await planLayout({ ...request, redisUrl: 'redis://r:1' }, null)).redis).toMatchObject({
      url: 'redis://r:1',
      config: null,
    })
    await expect(planLayout({ ...request, nodes: 3, weights: [1] }, null)).rejects.toThrow('1 weights for 3 nodes')
    const { createServer } = await import('node:net')
    const stranger = createServer()
    await new Promise<void>((done) => stranger.listen(0, '0.0.0.0', done))
    const address = stranger.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(planLayout({ ...request, port }, null)).rejects.toThrow(`port ${port} is taken`)
    await new Promise((done) => stranger.close(done))
  })
})
