import { readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { applyPlan, ApplyError, findNginx, readApplied, startNginx, stopNginx } from './apply.ts'
import { freePort } from '../runtime/free-ports.ts'
import { call, edge, edgeTopology, stopUpstream, upstream } from './testing/edge.ts'
import type { Answer, Seen, Upstream } from './testing/edge.ts'
import { servedVersion } from './status.ts'
import { waitFor } from './wait.ts'

const BUY = '/api/sales/demo/fares/second/orders'
const at = (seq: number) => ({ era: 1, seq })

function buy(port: number, options: http.RequestOptions & { body?: string } = {}): Promise<Answer> {
  return call(port, { method: 'POST', path: BUY, agent: false, ...options })
}

function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text))
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer')))
    socket.on('data', (chunk) => (all += chunk.toString()))
    socket.on('close', () => resolve(all))
    socket.on('error', reject)
  })
}

function expectProblem(answer: Answer, status: number, code: string): Record<string, unknown> {
  expect(answer.status).toBe(status)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  const problem = JSON.parse(answer.text) as Record<string, unknown>
  expect(Object.keys(problem)).toEqual(['type', 'title', 'status', 'code', 'detail', 'requestId', 'retryAfterMs'])
  expect(problem).toMatchObject({ type: `urn:farebox:problem:${code}`, status, code })
  expect(problem['requestId']).toBe(answer.headers['x-request-id'])
  return problem
}

describe('requests through nginx', () => {
  it('pass only the headers that nodes read, and the body with its length', async () => {
    const node = await upstream('n1', 1)
    const { listen } = await edge([node])
    const headers: Record<string, string> = {
      Authorization: 'Bearer t',
      'Idempotency-Key': 'key-12345',
      'Content-Type': 'application/json',
      Origin: 'http://a.example',
      'X-Farebox-Key-Made': '1',
      'X-Request-Id': 'mine',
      Cookie: 'a=b',
    }
    for (let i = 0; i < 200; i++) headers[`X-Small-${i}`] = `${i}`
    const answer = await buy(listen.port, { headers, body: '{"quantity":2}' })
    expect(answer.status).toBe(200)
    const seen = node.seen[0]
    expect(seen?.body).toBe('{"quantity":2}')
    expect(Object.keys(seen?.headers ?? {}).toSorted()).toEqual(
      [
        'authorization',
        'content-length',
        'content-type',
        'host',
        'idempotency-key',
        'origin',
        'x-request-id',
      ].toSorted(),
    )
    expect(seen?.headers['content-length']).toBe('14')
    expect(seen?.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/)
    expect(answer.headers['x-request-id']).toBe(seen?.headers['x-request-id'])
  })

  it('pass a chunked body', async () => {
    const node = await upstream('n1', 1)
    const { listen } = await edge([node])
    const answer = await buy(listen.port, { headers: { 'Transfer-Encoding': 'chunked' }, body: '{"quantity":1}' })
    expect(answer.status).toBe(200)
    expect(node.seen[0]?.body).toBe('{"quantity":1}')
  })

  it('get a key when they have none, and the node is told', async () => {
    const node = await upstream('n1', 1)
    const { listen } = await edge([node])
    const answer = await buy(listen.port)
    expect(answer.headers['idempotency-key']).toBe(node.seen[0]?.headers['idempotency-key'])
    expect(answer.headers['idempotency-key']).toMatch(/^[A-Za-z0-9_-]{8,64}$/)
    expect(node.seen[0]?.headers['x-farebox-key-made']).toBe('1')
    const other = await call(listen.port, { path: '/api/sales', headers: { 'Idempotency-Key': 'key-12345' } })
    expect(other.status).toBe(200)
    expect(node.seen[1]?.headers['idempotency-key']).toBeUndefined()
  })

  it('reach the orders processes with what is about orders, as it was sent', async () => {
    const node = await upstream('n1', 1)
    const orders = await upstream('o1', 1)
    const { listen } = await edge([node], { orders: [orders] })
    const calls: (http.RequestOptions & { body?: string })[] = [
      { path: '/api/orders?limit=3' },
      { path: '/api/orders/x' },
      { path: '/api/orders/x', method: 'DELETE' },
      { path: '/api/orders/x/payment', method: 'POST' },
      { path: '/api/keys' },
      {
        path: '/api/payments/webhook/sandbox',
        method: 'POST',
        headers: { 'Their-Signature': 'abc' },
        body: ` {"a":1}\n${'x'.repeat(20_000)}`,
      },
    ]
    for (const options of calls) expect((await call(listen.port, options)).status).toBe(200)
    expect(node.count).toBe(0)
    expect(orders.seen.map(({ method, url, body }) => ({ method, path: url, body }))).toEqual(
      calls.map(({ path, method = 'GET', body = '' }) => ({ method, path, body })),
    )
    expect(orders.seen.at(-1)?.headers['their-signature']).toBe('abc')
    const long = { path: '/api/orders/x/payment', method: 'POST', body: 'x'.repeat(20_000) }
    expectProblem(await call(listen.port, long), 413, 'too_large')
    const longer = { path: '/api/payments/webhook/sandbox', method: 'POST', body: 'x'.repeat(70_000) }
    expectProblem(await call(listen.port, longer), 413, 'too_large')
  })

  it('reach a node when they read orders and no orders process answers', async () => {
    const node = await upstream('n1', 1)
    const orders = await upstream('o1', 1)
    const { listen } = await edge([node], { orders: [orders] })
    await stopUpstream(orders)
    for (const path of ['/api/orders', '/api/orders/x']) {
      expect((await call(listen.port, { path })).status).toBe(200)
    }
    expect(node.seen.map(({ url }) => url)).toEqual(['/api/orders', '/api/orders/x'])
    expectProblem(await call(listen.port, { path: '/api/orders/x', method: 'DELETE' }), 503, 'busy')
    expectProblem(await call(listen.port, { path: '/api/keys' }), 503, 'busy')
    expect(node.count).toBe(2)
  })

  it('reach a node when they read orders and no orders process is known', async () => {
    const node = await upstream('n1', 1)
    const { listen } = await edge([node])
    expect((await call(listen.port, { path: '/api/orders?limit=3' })).status).toBe(200)
    expect(node.seen[0]?.url).toBe('/api/orders?limit=3')
    expectProblem(await call(listen.port, { path: '/api/orders/x', method: 'DELETE' }), 503, 'busy')
    for (const [path, allow] of [
      [BUY, 'POST'],
      ['/index.html', 'GET, HEAD'],
    ] as const) {
      expect((await call(listen.port, { path, method: 'TRACE' })).headers.allow).toBe(allow)
    }
    expect(node.count).toBe(1)
  })
})

describe('errors of nginx itself', () => {
  it('are problems like everybody’s', async () => {
    const node = await upstream('n1', 1)
    const { listen } = await edge([node])
    const { port } = listen
    const headers = { 'Idempotency-Key': 'key-12345' }
    for (const path of ['/nothing', '/healthz', '/readyz', '/metrics', '/', '/api', '/farebox-internal/malformed']) {
      expectProblem(await call(port, { path }), 404, 'not_found')
    }
    const large = await buy(port, { headers, body: 'x'.repeat(20_000) })
    expectProblem(large, 413, 'too_large')
    expect(large.headers['idempotency-key']).toBe('key-12345')
    expectProblem(await buy(port, { headers: { 'X-Large': 'x'.repeat(9000) } }), 431, 'headers_too_large')
    expectProblem(await call(port, { path: `/api/sales?${'x'.repeat(9000)}` }), 431, 'headers_too_large')
    expect(await raw(port, 'GET /api/sales HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"malformed"/,
    )
    expect(await raw(port, 'GARBAGE\r\n\r\n')).toContain('"code":"malformed"')
    expect(node.count).toBe(0)
  })

  it('say of a buy that its outcome is unknown, of another call busy, and spread the waiting', async () => {
    const cut = await upstream('n1', 1, (_, response) => response.destroy())
    const { listen } = await edge([cut])
    const headers = { 'Idempotency-Key': 'key-12345' }
    const bought = await buy(listen.port, { headers })
    expectProblem(bought, 503, 'outcome_unknown')
    expect(bought.headers['idempotency-key']).toBe('key-12345')
    const waits = new Set<unknown>()
    for (let i = 0; i < 40; i++) {
      const answer = await call(listen.port, { path: '/api/sales', agent: false })
      const { retryAfterMs } = expectProblem(answer, 503, 'busy')
      expect(retryAfterMs).toBeGreaterThanOrEqual(1000)
      expect(retryAfterMs).toBeLessThanOrEqual(1300)
      expect(Number(answer.headers['retry-after']) * 1000).toBeGreaterThanOrEqual(Number(retryAfterMs))
      waits.add(retryAfterMs)
    }
    expect(waits.size).toBeGreaterThan(5)
  })

  it('say outcome_unknown when the node does not answer in time, and no other node is asked', async () => {
    const stuck = await upstream('n1', 1, () => undefined)
    const topology = await edgeTopology([])
    const { listen } = await edge([stuck], { limits: { ...topology.limits, readTimeoutMs: 300 } })
    rmSync(topology.dir, { recursive: true, force: true })
    expectProblem(await buy(listen.port), 503, 'outcome_unknown')
    expect(stuck.count).toBe(1)
  })

  it('never send a POST twice, but go on from a refused connection', async () => {
    const cutting = await upstream('n1', 1, (_, response) => response.destroy())
    const well = await upstream('n2', 1)
    const { listen } = await edge([cutting, well])
    const answers = await Promise.all([buy(listen.port), buy(listen.port)])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 503])
    expect([cutting.count, well.count]).toEqual([1, 1])
    await stopUpstream(cutting)
    for (let i = 0; i < 20; i++) expect((await buy(listen.port)).status).toBe(200)
  })
})

async function load(port: number, total: number, connections: number): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  let left = total
  let failed = 0
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await buy(port, { agent }).catch(() => null)
      if (answer?.status !== 200) failed++
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  agent.destroy()
  return failed
}

describe('weights', () => {
  it('split the traffic exactly, by the access log', async () => {
    const nodes = await Promise.all([1, 2, 3, 4].map((weight) => upstream(`n${weight}`, weight)))
    const { listen, dir } = await edge(nodes)
    const total = 10_000
    expect(await load(listen.port, total, 64)).toBe(0)
    const lines = await waitFor(
      () => {
        const found = readFileSync(`${dir}/access.log`, 'utf8').trim().split('\n')
        return found.length >= total && found
      },
      { deadlineMs: 5000, what: 'the access log' },
    )
    for (const { port, weight } of nodes) {
      const share = (100 * lines.filter((line) => line.includes(` 127.0.0.1:${port} 200 `)).length) / total
      expect(Math.abs(share - weight * 10)).toBeLessThan(1)
    }
  })
})

describe('plans', () => {
  it('are applied in order: the applier refuses an older plan, and another one of the same version', async () => {
    const [first, second] = [await upstream('n1', 1), await upstream('n2', 1)]
    const topology = await edge([first])
    const plan = (seq: number, nodes: readonly Upstream[]) => applyPlan({ ...topology, version: at(seq), nodes })
    expect(await plan(5, [second])).toMatchObject({ outcome: 'applied', version: at(5), reloaded: true })
    expect(await servedVersion(topology.statusPort)).toEqual(at(5))
    await buy(topology.listen.port)
    expect([first.count, second.count]).toEqual([0, 1])
    expect(await plan(4, [first])).toEqual({ outcome: 'stale', version: at(4), newest: at(5) })
    expect(await plan(5, [first])).toEqual({ outcome: 'stale', version: at(5), newest: at(5) })
    expect(await plan(6, [second])).toMatchObject({ outcome: 'unchanged', version: at(6) })
    expect(await plan(5, [second])).toMatchObject({ outcome: 'stale' })
    expect(readApplied(topology.dir)).toMatchObject({ version: at(6), textVersion: at(5) })
    // What tells the plan in force from any other is the same in the answer and in what is read later.
    expect(await plan(6, [second])).toMatchObject({ hash: readApplied(topology.dir)?.hash })
    expect(await servedVersion(topology.statusPort)).toEqual(at(5))
    expect((await Promise.all([7, 8, 9].map((seq) => plan(seq, [first])))).some((r) => r.outcome === 'applied')).toBe(
      true,
    )
    expect(readApplied(topology.dir)?.version).toEqual(at(9))
  })

  it('that nginx refuses change nothing', async () => {
    const node = await upstream('n1', 1)
    const topology = await edge([node])
    const bad = {
      ...topology,
      version: at(2),
      user: 'no-such-user-here',
      nodes: [{ ...node, host: 'no.such.host.invalid' }],
    }
    await expect(applyPlan(bad)).rejects.toThrow(ApplyError)
    expect(readApplied(topology.dir)?.version).toEqual(at(1))
    expect((await buy(topology.listen.port)).status).toBe(200)
  })

  it('are not needed for a restart in place, which loses no request', async () => {
    let draining = false
    const answer = (seen: Seen, response: http.ServerResponse) => {
      if (draining) response.setHeader('Connection', 'close')
      response.end(seen.body)
    }
    const node = await upstream('n1', 1, answer)
    const { listen } = await edge([node, await upstream('n2', 1), await upstream('n3', 1)])
    const run = { stopped: false, sent: 0, failed: 0 }
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
    const client = async () => {
      while (!run.stopped) {
        run.sent++
        const result = await buy(listen.port, { agent }).catch(() => null)
        if (result?.status !== 200) run.failed++
      }
    }
    const clients = Array.from({ length: 16 }, client)
    const sentMore = (count: number) => {
      const goal = run.sent + count
      return waitFor(() => run.sent >= goal, { deadlineMs: 10_000, what: 'more requests' })
    }
    for (let round = 0; round < 5; round++) {
      await sentMore(300)
      draining = true
      // Only stops listening: idle connections stay, since nginx may be sending on one right now.
      net.Server.prototype.close.call(node.server)
      const open = () => new Promise<number>((done) => node.server.getConnections((_, count) => done(count)))
      await waitFor(async () => (await open()) === 0, { deadlineMs: 15_000, what: 'the last connection' })
      const atEnd = node.count
      await sentMore(100)
      expect(node.count).toBe(atEnd)
      draining = false
      await new Promise<void>((done) => node.server.listen(node.port, '127.0.0.1', done))
      await waitFor(() => node.count > atEnd, { deadlineMs: 10_000, what: 'its return' })
    }
    run.stopped = true
    await Promise.all(clients)
    agent.destroy()
    expect(run.failed).toBe(0)
  })

  it('are served by an nginx that stops and is found again by its directory', async () => {
    const node = await upstream('n1', 1)
    const topology = await edgeTopology([node], { listen: { host: '127.0.0.1', port: await freePort() } })
    onTestFinished(() => rmSync(topology.dir, { recursive: true, force: true }))
    await applyPlan(topology)
    const master = await startNginx(topology.dir)
    expect(findNginx(topology.dir)).toEqual(master)
    await stopNginx(master)
    expect(findNginx(topology.dir)).toBeNull()
    await expect(startNginx(`${topology.dir}/elsewhere`)).rejects.toThrow('no plan was applied')
  })
})
