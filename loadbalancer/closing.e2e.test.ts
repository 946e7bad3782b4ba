import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { applyPlan, findNginx, startNginx, stopNginx } from './apply.ts'
import { call, edge, edgeTopology, stopUpstream, upstream } from './testing/edge.ts'
import type { Upstream } from './testing/edge.ts'
import { signalProcess } from '../runtime/process-identity.ts'
import { CLOSING_FLAG_PREFIX, closingFlagPath } from './render.ts'
import type { Topology } from './render.ts'
import { idleConnections, readStatus } from './status.ts'
import { waitFor } from './wait.ts'

const BUY = '/api/sales/demo/fares/second/orders'
const at = (seq: number) => ({ era: 1, seq })

function flags(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.startsWith(CLOSING_FLAG_PREFIX))
}

/** Buys over kept connections, and counts what got no 200. */
class Buyers {
  sent = 0
  failed = 0
  readonly #port: number
  readonly #agent: http.Agent
  readonly #underWay = new Set<Promise<void>>()
  #stopped = false

  constructor(port: number, options: { readonly keepAlive: boolean }) {
    this.#port = port
    this.#agent = new http.Agent({ keepAlive: options.keepAlive, maxFreeSockets: 10_000 })
  }

  /** Each sends its next request as soon as it has the answer. */
  closedLoop(clients: number): this {
    const client = async () => {
      while (!this.#stopped) await this.#buy()
    }
    for (let i = 0; i < clients; i++) this.#note(client())
    return this
  }

  /** Sends at this rate, whatever comes back. */
  steady(perSecond: number): this {
    const startMs = performance.now()
    const clock = async () => {
      while (!this.#stopped) {
        const due = ((performance.now() - startMs) / 1000) * perSecond
        while (this.sent < due) this.#note(this.#buy())
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    this.#note(clock())
    return this
  }

  async stop(): Promise<{ readonly sent: number; readonly failed: number }> {
    this.#stopped = true
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
    this.#agent.destroy()
    return { sent: this.sent, failed: this.failed }
  }

  async #buy(): Promise<void> {
    this.sent++
    const options = { port: this.#port, method: 'POST', path: BUY, agent: this.#agent, body: '{"quantity":1}' }
    const answer = await call(this.#port, options).catch(() => null)
    if (answer?.status !== 200) this.failed++
  }

  #note(work: Promise<void>): void {
    this.#underWay.add(work)
    void work.finally(() => this.#underWay.delete(work))
  }
}

async function reloadTimes(topology: Topology, nodes: readonly Upstream[], count: number): Promise<void> {
  for (let seq = 2; seq < count + 2; seq++) {
    const result = await applyPlan({
      ...topology,
      version: at(seq),
      nodes: seq % 2 === 0 ? nodes.slice(0, 1) : nodes.map((node) => ({ ...node, weight: seq })),
    })
    expect(result).toMatchObject({ outcome: 'applied', reloaded: true })
  }
}

describe('twenty reloads lose no request', () => {
  it.each<[string, (port: number) => Buyers[]]>([
    [
      'of clients that wait for each answer',
      (port) => [
        new Buyers(port, { keepAlive: true }).closedLoop(16),
        new Buyers(port, { keepAlive: false }).closedLoop(4),
      ],
    ],
    ['at 200 a second', (port) => [new Buyers(port, { keepAlive: true }).steady(200)]],
    ['at 1000 a second', (port) => [new Buyers(port, { keepAlive: true }).steady(1000)]],
  ])('%s', async (_, start) => {
    const nodes = [await upstream('n1', 1), await upstream('n2', 2)]
    const topology = await edge(nodes)
    const buyers = start(topology.listen.port)
    await reloadTimes(topology, nodes, 20)
    const counts = await Promise.all(buyers.map((each) => each.stop()))
    const sent = counts.reduce((sum, each) => sum + each.sent, 0)
    expect(counts.map(({ failed }) => failed)).toEqual(buyers.map(() => 0))
    expect(sent).toBeGreaterThan(1000)
    // Nor was any sent to nodes twice.
    expect(nodes.reduce((sum, { count }) => sum + count, 0)).toBe(sent)
  })
})

describe('twenty reloads without a flag', () => {
  it('lose requests, so the count above can fail', async () => {
    const topology = await edge([await upstream('n1', 1)])
    const master = findNginx(topology.dir)
    if (!master) throw new Error('nginx does not run')
    const buyers = new Buyers(topology.listen.port, { keepAlive: true }).closedLoop(16)
    for (let round = 0; round < 20; round++) {
      const sent = buyers.sent
      const worker = (await readStatus(topology.statusPort))?.workerPid
      await waitFor(() => buyers.sent > sent + 100, { deadlineMs: 5000, what: 'requests before the reload' })
      signalProcess(master, 'SIGHUP')
      const isAnother = async () => (await readStatus(topology.statusPort))?.workerPid !== worker
      await waitFor(isAnother, { deadlineMs: 5000, what: 'another worker' })
    }
    expect((await buyers.stop()).failed).toBeGreaterThan(0)
  })
})

describe('under the flag', () => {
  it('each request is handled as ever, and its connection ends', async () => {
    const node = await upstream('n1', 1, (seen, response) => {
      response.setHeader('uWebSockets', '20')
      response.end(JSON.stringify([seen.method, seen.url, seen.body, seen.headers['idempotency-key']]))
    })
    const webDir = mkdtempSync(join(tmpdir(), 'farebox-web-'))
    onTestFinished(() => rmSync(webDir, { recursive: true, force: true }))
    writeFileSync(`${webDir}/index.html`, '<p>hello')
    writeFileSync(`${webDir}/a?b c.js`, '1')
    const { listen, dir, version } = await edge([node], { webDir, orders: [node] })
    const agent = new http.Agent({ keepAlive: true })
    const headers = { 'Idempotency-Key': 'key-12345' }
    const requests: (http.RequestOptions & { body?: string })[] = [
      { path: '/api/sales?limit=3&x=%20y' },
      { path: '/api/sales/d%65mo//%2F/?a=/farebox-internal/b' },
      { path: '/api/orders/x?%00', method: 'HEAD' },
      { path: BUY, method: 'POST', headers, body: '{"quantity":2}' },
      { path: BUY, method: 'POST', headers: { ...headers, 'Transfer-Encoding': 'chunked' }, body: '{"quantity":2}' },
      { path: BUY, method: 'POST', headers, body: 'x'.repeat(20_000) },
      { path: '/api/orders', method: 'DELETE', headers },
      { path: '/api/nothing' },
      { path: '/' },
      { path: '/index.html', method: 'POST' },
      { path: '/a%3Fb%20c.js?v=1' },
      { path: '/a%0Ab' },
      { path: '/farebox-internal/malformed' },
      { path: '/farebox-internal/closing' },
      { path: `/api/sales?${'x'.repeat(9000)}` },
    ]
    const ask = async (options: http.RequestOptions & { body?: string }) => {
      const { status, headers: got, text } = await call(listen.port, { agent, ...options })
      const { connection, date: _, 'x-request-id': id, ...others } = got
      return { connection, answer: { status, others, text: text.replaceAll(String(id), 'ID') } }
    }
    for (const request of requests) {
      const before = await ask(request)
      writeFileSync(closingFlagPath(dir, version), '')
      const under = await ask(request)
      rmSync(closingFlagPath(dir, version))
      expect(under.answer, request.path ?? '').toEqual(before.answer)
      expect(under.answer.others).not.toHaveProperty('uwebsockets')
      // Nobody asks for those, so that they keep their connection does not matter.
      if (!request.path?.startsWith('/farebox-internal/')) expect(under.connection, request.path ?? '').toBe('close')
    }
    agent.destroy()
  })

  it('idle connections hold up no reload for long', async () => {
    const nodes = [await upstream('n1', 1), await upstream('n2', 1)]
    const topology = await edge(nodes)
    const agent = new http.Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    await call(topology.listen.port, { path: '/api/sales', agent })
    expect(await idleConnections(topology.statusPort)).toBe(1)
    await reloadTimes(topology, nodes, 1)
    await waitFor(async () => (await idleConnections(topology.statusPort)) === 0, {
      deadlineMs: 2000,
      what: 'the idle connection to end',
    })
  })
})

describe('the flag', () => {
  it('is of one plan, so that the next one serves without it', async () => {
    const nodes = [await upstream('n1', 1), await upstream('n2', 1)]
    const topology = await edge(nodes)
    await reloadTimes(topology, nodes, 1)
    expect(flags(topology.dir)).toEqual(['closing-1.1'])
    const { headers } = await call(topology.listen.port, {
      path: '/api/sales',
      agent: new http.Agent({ keepAlive: true }),
    })
    expect(headers.connection).toBe('keep-alive')
  })

  it('that a dead coordinator left is removed by the next plan, also by one that changes nothing', async () => {
    const topology = await edge([await upstream('n1', 1)])
    const left = closingFlagPath(topology.dir, topology.version)
    const [recent, old] = [closingFlagPath(topology.dir, at(8)), closingFlagPath(topology.dir, at(9))]
    for (const path of [left, recent, old]) writeFileSync(path, '')
    utimesSync(old, 0, 0)
    expect(await applyPlan({ ...topology, version: at(2) })).toMatchObject({ outcome: 'unchanged' })
    expect([left, recent, old].map((path) => existsSync(path))).toEqual([false, true, false])
  })

  it('is removed at a start', async () => {
    const topology = await edgeTopology([])
    onTestFinished(() => rmSync(topology.dir, { recursive: true, force: true }))
    await applyPlan(topology)
    writeFileSync(closingFlagPath(topology.dir, topology.version), '')
    const master = await startNginx(topology.dir)
    onTestFinished(() => stopNginx(master))
    expect(flags(topology.dir)).toEqual([])
  })
})

describe('a node that dies', () => {
  it('is passed by before any reload: only what it had in hand is lost', async () => {
    const nodes = [await upstream('n1', 1), await upstream('n2', 1), await upstream('n3', 1)]
    const [dying, ...others] = nodes as [Upstream, ...Upstream[]]
    const { listen } = await edge(nodes)
    const buyers = new Buyers(listen.port, { keepAlive: true }).closedLoop(16)
    await waitFor(() => dying.count > 200, { deadlineMs: 10_000, what: 'requests at the node' })
    await stopUpstream(dying)
    const sentAtDeath = buyers.sent
    await waitFor(() => buyers.sent > sentAtDeath + 2000, { deadlineMs: 10_000, what: 'requests after its death' })
    const failedSoon = buyers.failed
    expect(failedSoon).toBeLessThanOrEqual(16)
    // Past `fail_timeout`, when nginx tries the dead one again.
    const aliveCount = () => others.reduce((sum, { count }) => sum + count, 0)
    const soon = { count: aliveCount(), endMs: performance.now() + 4500 }
    await waitFor(() => performance.now() > soon.endMs && aliveCount() > soon.count, {
      deadlineMs: 10_000,
      what: 'two rounds of trying again',
    })
    expect((await buyers.stop()).failed).toBe(failedSoon)
  })
})
