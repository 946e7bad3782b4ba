/**
 * Bad input, through nginx and at a node itself: each gets its documented answer in the documented form, no process
 * dies, no ticket moves.
 */
import { createHmac } from 'node:crypto'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { Value } from 'typebox/value'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ProblemSchema } from '../http/schemas.ts'
import { jsonOf, request } from './client.ts'
import type { Reply, RequestOptions } from './client.ts'
import { Cluster, farebox, isRunning, saleText, workspace } from './cluster.ts'
import type { AuditReport } from './cluster.ts'

const BUY = '/api/sales/rush/fares/seat/orders'
const ORDER = `/api/orders/${'0'.repeat(26)}`

let cluster: Cluster
let token = ''
let before: AuditReport
let pids: Map<string, number>

beforeAll(async () => {
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: 3 }, { limitPerBuyer: 4 }) })
  token = await cluster.token('alice')
  before = await cluster.audit()
  pids = cluster.pids()
})
afterAll(() => cluster.end())

const WAYS = ['nginx', 'node'] as const
type Way = (typeof WAYS)[number]

function urlOf(way: Way): string {
  return way === 'nginx' ? cluster.view.url : cluster.node('n1').url
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** A token as anybody could write one; signed with the cluster's own secret unless another is given. */
function forged(claims: object, { alg = 'HS256', secret = '' } = {}): string {
  const text = `${encoded({ alg, typ: 'JWT' })}.${encoded(claims)}`
  const key = secret === '' ? readFileSync(join(cluster.dir, 'identity.secret'), 'utf8').trim() : secret
  return `${text}.${alg === 'none' ? '' : createHmac('sha256', key).update(text).digest('base64url')}`
}

const FAR = 4_000_000_000
const SOON = Math.floor(Date.now() / 1000) + 3600

interface Case {
  readonly what: string
  /** Over a buy of quantity 1 with a good token and key. A header that is undefined is not sent. */
  readonly send: () => Omit<RequestOptions, 'headers'> & {
    readonly path?: string
    readonly headers?: Readonly<Record<string, string | undefined>>
  }
  readonly status: number
  readonly code: string
  /** Where only nginx refuses. */
  readonly only?: Way
}

function body(text: string): () => { body: string } {
  return () => ({ body: text })
}

function authorization(make: () => string | undefined): Case['send'] {
  return () => ({ headers: { Authorization: make() } })
}

const CASES: readonly Case[] = [
  ...[
    '{',
    'quantity=1',
    '[]',
    '"1"',
    '1',
    'null',
    '{"quantity":"1"}',
    '{"quantity":null}',
    '{"quantity":true}',
    '\u0000',
  ].map((text): Case => ({
    what: `the body ${JSON.stringify(text)}`,
    send: body(text),
    status: 400,
    code: 'malformed',
  })),
  ...['0', '-1', '0.5', '5', '1e300', '-0.0'].map((quantity): Case => ({
    what: `quantity ${quantity}`,
    send: body(`{"quantity":${quantity}}`),
    status: 422,
    code: 'bad_quantity',
  })),
  { what: 'more than remain', send: body('{"quantity":4}'), status: 409, code: 'not_enough' },
  { what: 'a body of 5 kB', send: body(`{"x":"${'y'.repeat(5000)}"}`), status: 413, code: 'too_large' },
  { what: 'a body of 60 kB', send: body('z'.repeat(60_000)), status: 413, code: 'too_large' },
  { what: 'a body of 1 MB', send: body('z'.repeat(1 << 20)), status: 413, code: 'too_large', only: 'nginx' },
  ...['nowhere', 'RUSH', 'a%20b', '..%2f..', 'x'.repeat(300)].map((sale): Case => ({
    what: `sale ${sale.slice(0, 20)}`,
    send: () => ({ path: `/api/sales/${sale}/fares/seat/orders` }),
    status: 404,
    code: sale.includes('%2f') ? 'not_found' : 'no_such_sale',
    ...(sale.includes('%2f') ? { only: 'nginx' as const } : {}),
  })),
  {
    what: 'an unknown fare',
    send: () => ({ path: '/api/sales/rush/fares/bed/orders' }),
    status: 404,
    code: 'no_such_fare',
  },
  { what: 'an unknown path', send: () => ({ path: '/api/nothing', method: 'GET' }), status: 404, code: 'not_found' },
  { what: 'another method', send: () => ({ method: 'PUT' }), status: 405, code: 'method_not_allowed' },
  { what: 'an order to post to', send: () => ({ path: ORDER }), status: 405, code: 'method_not_allowed' },
  { what: 'an unknown order', send: () => ({ path: ORDER, method: 'GET' }), status: 404, code: 'no_such_order' },
  {
    what: 'an odd order id',
    send: () => ({ path: '/api/orders/x', method: 'GET' }),
    status: 404,
    code: 'no_such_order',
  },
  { what: 'no token', send: authorization(() => undefined), status: 401, code: 'unauthenticated' },
  {
    what: 'no token for the orders',
    send: () => ({ path: '/api/orders', method: 'GET', headers: { Authorization: undefined } }),
    status: 401,
    code: 'unauthenticated',
  },
  ...(
    [
      ['no bearer', () => 'Basic YWxpY2U6eA=='],
      ['nonsense', () => 'Bearer x.y.z'],
      ['an expired token', () => `Bearer ${forged({ sub: 'alice', exp: 1_600_000_000 })}`],
      ['alg none', () => `Bearer ${forged({ sub: 'alice', exp: FAR }, { alg: 'none' })}`],
      ['alg HS512 over an HS256 signature', () => `Bearer ${forged({ sub: 'alice', exp: FAR }, { alg: 'HS512' })}`],
      ['another secret', () => `Bearer ${forged({ sub: 'alice', exp: FAR }, { secret: 'x'.repeat(40) })}`],
      ['no sub', () => `Bearer ${forged({ exp: SOON })}`],
      ['no exp', () => `Bearer ${forged({ sub: 'alice' })}`],
      ['exp as text', () => `Bearer ${forged({ sub: 'alice', exp: String(SOON) })}`],
      ['a sub of 129 characters', () => `Bearer ${forged({ sub: 'a'.repeat(129), exp: SOON })}`],
      ['a sub with a line break', () => `Bearer ${forged({ sub: 'a\nb', exp: SOON })}`],
      ['a cut token', () => `Bearer ${token.slice(0, -1)}`],
    ] as const
  ).map(([what, make]): Case => ({ what, send: authorization(make), status: 401, code: 'unauthenticated' })),
  ...['short', 'k'.repeat(65), 'bad key!', 'schlüssel'].map((key): Case => ({
    what: `the key ${key.slice(0, 12)}`,
    send: () => ({ headers: { 'Idempotency-Key': Buffer.from(key, 'utf8').toString('latin1') } }),
    status: 400,
    code: 'bad_key',
  })),
  {
    what: 'a header of 5 kB',
    send: () => ({ headers: { Authorization: `Bearer ${'x'.repeat(5000)}` } }),
    status: 431,
    code: 'headers_too_large',
  },
  {
    what: 'a header of 12 kB',
    send: () => ({ headers: { 'X-Long': 'x'.repeat(12_000) } }),
    status: 431,
    code: 'headers_too_large',
    only: 'nginx',
  },
  // Checked in the order: size, syntax, identity, existence.
  {
    what: 'no JSON, no token, no sale',
    send: () => ({ body: '{', headers: { Authorization: undefined }, path: '/api/sales/no/fares/no/orders' }),
    status: 400,
    code: 'malformed',
  },
  {
    what: 'no token, no sale',
    send: () => ({ headers: { Authorization: undefined }, path: '/api/sales/no/fares/no/orders' }),
    status: 401,
    code: 'unauthenticated',
  },
]

async function send(way: Way, { send: make }: Case): Promise<Reply> {
  const { path = BUY, headers = {}, method = 'POST', body: text } = make()
  const payload = method === 'GET' ? undefined : (text ?? '{"quantity":1}')
  const all = { Authorization: `Bearer ${token}`, 'Idempotency-Key': 'bad-input-key', ...headers }
  const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  if (payload !== undefined) sent.push(['Content-Length', String(Buffer.byteLength(payload))])
  const options: RequestOptions = { method, headers: Object.fromEntries(sent) }
  return request(urlOf(way) + path, payload === undefined ? options : { ...options, body: payload })
}

describe.each(WAYS)('through %s', (way) => {
  it.each(CASES.filter(({ only }) => only === undefined || only === way))('$what: $status $code', async (one) => {
    const reply = await send(way, one)
    const problem = jsonOf(reply)
    expect([reply.status, problem['code']], reply.fault ?? reply.text).toEqual([one.status, one.code])
    expect(reply.headers['content-type']).toBe('application/problem+json')
    expect([...Value.Errors(ProblemSchema, problem)]).toEqual([])
    expect(problem).toMatchObject({ type: `urn:farebox:problem:${one.code}`, status: one.status })
    expect(reply.headers['x-request-id']).toBe(problem['requestId'])
    expect(one.code === 'not_enough').toBe('remaining' in problem)
  })
})

/** What comes back over a connection, until it is closed. */
function raw(way: Way, text: string, options: { readonly cutAfterMs?: number } = {}): Promise<string> {
  const { hostname, port } = new URL(urlOf(way))
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname, () => {
      socket.write(text)
      if (options.cutAfterMs !== undefined) setTimeout(() => socket.resetAndDestroy(), options.cutAfterMs)
    })
    let heard = ''
    socket.setTimeout(20_000, () => socket.destroy())
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(heard))
  })
}

function head(lines: readonly string[]): string {
  const own = [`POST ${BUY} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${token}`, 'Idempotency-Key: bad-input-key']
  return [...own, ...lines, '', ''].join('\r\n')
}

describe.each(WAYS)('over a connection to %s', (way) => {
  it('a half-sent body is given up, not sold', async () => {
    const heard = await raw(way, `${head(['Content-Length: 14'])}{"quant`)
    if (way === 'node' && heard !== '') expect(heard).toMatch(/^HTTP\/1\.1 400 .*malformed/s)
    if (way === 'nginx') expect(heard).not.toMatch(/^HTTP\/1\.1 2/)
  })

  it('clients that go away half way do no harm', async () => {
    const cuts = ['', 'POST', head([]).slice(0, 60), `${head(['Content-Length: 14'])}{"qua`]
    const heard = await Promise.all(
      cuts.flatMap((text) => Array.from({ length: 10 }, () => raw(way, text, { cutAfterMs: 20 }))),
    )
    expect(heard.filter((text) => /HTTP\/1\.1 2\d\d/.test(text))).toEqual([])
  })

  it.each([
    ['no HTTP at all', () => '\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n'],
    ['a first line of nonsense', () => 'HELLO\r\n\r\n'],
    ['no such version', () => 'GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a length that is no number', () => head(['Content-Length: ten'])],
    [
      'length and chunks',
      () => `${head(['Content-Length: 14', 'Transfer-Encoding: chunked'])}e\r\n{"quantity":1}\r\n0\r\n\r\n`,
    ],
    ['a chunk of no size', () => `${head(['Transfer-Encoding: chunked'])}zz\r\n{"quantity":1}\r\n`],
  ])('broken framing: %s', async (_what, text) => {
    const heard = await raw(way, text())
    expect(heard).not.toMatch(/HTTP\/1\.1 2\d\d/)
    if (heard !== '') expect(heard).toMatch(/^HTTP\/1\.[01] (400|411|501|505)/)
  })

  it('two lengths', async () => {
    const heard = await raw(
      way,
      `${head(['Connection: close', 'Content-Length: 14', 'Content-Length: 2'])}{"quantity":0}`,
    )
    // A node, which only nginx reaches, takes the first; nginx refuses.
    expect(heard).toMatch(way === 'nginx' ? /^HTTP\/1\.1 400 .*"malformed"/s : /^HTTP\/1\.1 (400|422)/)
  })

  it('200 headers', async () => {
    const headers = Array.from({ length: 200 }, (_, index) => `X-Header-${index}: x`)
    const heard = await raw(way, `${head([...headers, 'Connection: close', 'Content-Length: 14'])}{"quantity":0}`)
    // nginx reads them and passes on only what a node wants; a node itself reads at most 98.
    if (way === 'nginx') expect(heard).toContain('bad_quantity')
    else expect(heard === '' || heard.startsWith('HTTP/1.1 431'), heard).toBe(true)
  })
})

it('no process has died and no ticket has moved', async () => {
  for (const [name, pid] of pids) expect(isRunning(pid), name).toBe(true)
  expect(cluster.pids()).toEqual(pids)
  const after = await cluster.audit()
  expect(after.fares).toEqual(before.fares)
  expect(after).toMatchObject({ ok: true, fares: [{ remaining: 3, held: 0 }] })
  const buys = await request(urlOf('nginx') + BUY, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Idempotency-Key': 'bad-input-key' },
  })
  expect(buys.status).toBe(201)
})

const BAD_SALE = `
id: Bad Id
name: ''
limitPerBuyer: 0
surprise: 1
fares:
  - { id: seat, name: A, stock: -5, price: { amount: 1.5, currency: eur } }
  - { id: seat, name: B, stock: 1, price: { amount: 1, currency: EUR } }
`
const SALE_FAULTS = ['id', 'name', 'limitPerBuyer', 'holdSeconds', 'surprise', 'fares[0].stock', 'fares[1].id']
const BAD_CONFIG = `
identity: { mode: nobody }
deadAfterMs: 3
surprise: 1
ledger: { url: 'mysql://x' }
batch: { maxItems: many }
`
const CONFIG_FAULTS = ['identity.mode', 'deadAfterMs', 'surprise', 'ledger.url', 'batch.maxItems']

it.each([
  ['sale', BAD_SALE, SALE_FAULTS],
  ['config', BAD_CONFIG, CONFIG_FAULTS],
] as const)('a bad %s file lists all its faults, starts nothing and leaves nothing', async (kind, text, faults) => {
  const space = workspace()
  const args = ['up', '--port', '0', '--nodes', '1', `--${kind}`, space.file('bad.yaml', text)]
  for (const detach of [[], ['--detach']]) {
    const run = await farebox(space.dir, [...args, ...detach])
    expect(run.code).toBe(2)
    const { error } = run.json as { error: { message: string; details: unknown } }
    for (const fault of faults) expect(error.message).toContain(`${fault}: `)
    expect(existsSync(join(space.dir, 'cluster.json'))).toBe(false)
    expect(existsSync(space.dir), 'the directory').toBe(false)
  }
  rmSync(space.root, { recursive: true })
})

it('a bad sale file is refused by a running cluster, which keeps its sales', async () => {
  const run = await cluster.farebox('sale', 'create', cluster.space.file('bad.yaml', BAD_SALE))
  expect(run.code).toBe(2)
  const { error } = run.json as { error: { message: string } }
  for (const fault of SALE_FAULTS) expect(error.message).toContain(`${fault}: `)
  expect((await cluster.read<{ items: unknown[] }>('sale', 'list')).items).toHaveLength(1)
})
