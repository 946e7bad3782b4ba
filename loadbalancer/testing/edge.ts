/** For tests: tiny node:http upstreams, and a topology over them in a directory of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort } from '../../runtime/free-ports.ts'
import { applyPlan, startNginx, stopNginx } from '../apply.ts'
import { EDGE_DEFAULTS } from '../render.ts'
import type { Topology, UpstreamNode } from '../render.ts'

export interface Seen {
  readonly node: string
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface Upstream extends UpstreamNode {
  count: number
  readonly seen: Seen[]
  readonly server: http.Server
}

type Handler = (seen: Seen, response: http.ServerResponse) => void

const OK: Handler = (seen, response) => {
  const key = seen.headers['idempotency-key']
  if (typeof key === 'string') response.setHeader('Idempotency-Key', key)
  response.setHeader('X-Request-Id', String(seen.headers['x-request-id']))
  response.end('{"ok":true}')
}

async function startUpstream(id: string, weight: number, answer: Handler = OK): Promise<Upstream> {
  const seen: Seen[] = []
  const server = http.createServer({ keepAliveTimeout: 10_000 }, (request, response) => {
    upstream.count++
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const one = { node: id, method, url, headers, body }
      if (seen.length < 100) seen.push(one)
      answer(one, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: Upstream = { id, host: '127.0.0.1', port: portOf(server), weight, count: 0, seen, server }
  return upstream
}

export async function stopUpstream({ server }: Upstream): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

export async function edgeTopology(nodes: readonly UpstreamNode[], changes: Partial<Topology> = {}): Promise<Topology> {
  return {
    version: { era: 1, seq: 1 },
    dir: mkdtempSync(join(tmpdir(), 'farebox-edge-')),
    user: process.getuid?.() === 0 ? 'root' : null,
    listen: { host: '127.0.0.1', port: await freePort() },
    statusPort: await freePort(),
    nodes,
    orders: [],
    webDir: null,
    live: false,
    limits: EDGE_DEFAULTS,
    ...changes,
  }
}

/** A running nginx over `nodes`, until the test ends. */
export async function edge(nodes: readonly Upstream[], changes: Partial<Topology> = {}): Promise<Topology> {
  const topology = await edgeTopology(nodes, changes)
  onTestFinished(() => rmSync(topology.dir, { recursive: true, force: true }))
  await applyPlan(topology)
  const master = await startNginx(topology.dir)
  onTestFinished(() => stopNginx(master))
  return topology
}

/** {@link startUpstream}, until the test ends. */
export async function upstream(...args: Parameters<typeof startUpstream>): Promise<Upstream> {
  const made = await startUpstream(...args)
  onTestFinished(() => stopUpstream(made))
  return made
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

/** One request over loopback. Rejects when the connection ends without an answer. */
export function call(port: number, options: http.RequestOptions & { body?: string } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options
    const request = http.request({ host: '127.0.0.1', port, ...rest }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port
}
