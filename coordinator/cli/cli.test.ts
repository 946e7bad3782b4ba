import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createVerifier } from 'fast-jwt'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from './program.ts'
import { table } from './table.ts'
import { parseDurationMs } from './token.ts'

const SECRET = 'a secret of more than thirty-two bytes'
let directory = ''
const servers: Server[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'farebox-cli-'))
})
afterEach(async () => {
  for (const server of servers.splice(0)) server.close().closeAllConnections()
  await rm(directory, { recursive: true, force: true })
})

interface Said {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

async function farebox(...argv: string[]): Promise<Said> {
  let stdout = ''
  let stderr = ''
  const exitCode = await runCli(argv, {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    interactive: false,
    colours: false,
  })
  return { exitCode, stdout, stderr }
}

async function withConfig(): Promise<void> {
  await writeFile(join(directory, 'config.yaml'), `identity: { secret: "${SECRET}" }\n`)
}

interface Asked {
  readonly method: string
  readonly url: string
  readonly authorization: string
  readonly body: string
}

/** A coordinator that answers everything with this. Returns its address, and what it was asked. */
/** `notLeading` says how often it first refuses as one that leads no more, and that it leads itself. */
async function standIn(status: number, body: unknown, notLeading = 0): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = []
  let own = ''
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => void (text += chunk.toString()))
    request.on('end', () => {
      const url = request.url ?? ''
      if (url === '/healthz') return void response.end('ok')
      asked.push({ method: request.method ?? '', url, authorization: request.headers.authorization ?? '', body: text })
      if (asked.length > notLeading) return void response.writeHead(status).end(JSON.stringify(body))
      const error = { code: 'not_leader', message: 'no more', details: { adminUrl: own } }
      response.writeHead(409).end(JSON.stringify({ error }))
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  own = `http://127.0.0.1:${port}`
  return { url: own, asked }
}

async function remote(url: string): Promise<string[]> {
  const file = join(directory, 'token')
  await writeFile(file, 'the-token\n')
  return ['--admin', url, '--token-file', file]
}

const SALE = {
  id: 'demo',
  name: 'Demo',
  state: 'open',
  recovering: false,
  opensAt: null,
  closesAt: null,
  serverTime: '2027-01-01T00:00:00.000Z',
  limitPerBuyer: 2,
  holdSeconds: 300,
  version: { era: 1, seq: 2 },
  fares: [],
}

describe('usage', () => {
  it.each([
    [['bogus'], "unknown command 'bogus'"],
    [['sale', 'show'], "missing required argument 'id'"],
    [['nodes', '--what'], "unknown option '--what'"],
    [['run', 'node'], "required option '--id <id>' not specified"],
    [['token'], 'say either --buyer ID or --count N'],
    [['sale', 'show', 'NOT AN ID'], 'is no sale id'],
  ])('%j exits 2 and says why, as text and as JSON', async (argv, message) => {
    const text = await farebox(...argv, '--dir', directory)
    expect(text).toMatchObject({ exitCode: 2, stdout: '' })
    expect(text.stderr).toContain(message)
    const json = await farebox(...argv, '--dir', directory, '--json')
    expect(json).toMatchObject({ exitCode: 2, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'usage', details: null } })
    expect(json.stdout).toContain(message.replaceAll('"', '\\"'))
  })

  it('hints at the near name', async () => {
    expect((await farebox('stauts')).stderr).toContain('Did you mean status?')
  })

  it('help exits 0 and names the common options', async () => {
    const help = await farebox('sale', 'show', '--help')
    expect(help.exitCode).toBe(0)
    expect(help.stdout).toContain('--token-file')
  })

  it('a group without a command exits 2', async () => {
    expect((await farebox('sale')).exitCode).toBe(2)
    expect(JSON.parse((await farebox('sale', '--json')).stdout)).toMatchObject({ error: { code: 'usage' } })
  })

  it('takes the common options before and after the command', async () => {
    expect(JSON.parse((await farebox('--json', 'version')).stdout)).toMatchObject({ version: '0.1.0' })
    expect(JSON.parse((await farebox('version', '--json')).stdout)).toMatchObject({ version: '0.1.0' })
  })
})

describe('no cluster', () => {
  it.each([['status'], ['sale', 'list'], ['nodes'], ['quota', 'demo'], ['audit', 'demo'], ['sale', 'open', 'demo']])(
    '%s %s exits 3 within two seconds',
    async (...argv) => {
      const startMs = performance.now()
      const said = await farebox(...argv, '--dir', join(directory, 'none'), '--json')
      expect(said.exitCode).toBe(3)
      expect(JSON.parse(said.stdout)).toMatchObject({ error: { code: 'no_cluster' } })
      expect(performance.now() - startMs).toBeLessThan(2000)
    },
  )

  it('a Redis that does not answer is no cluster either', async () => {
    const config = `identity: { secret: "${SECRET}" }\nredis: { url: "redis://127.0.0.1:1" }\n`
    await writeFile(join(directory, 'config.yaml'), config)
    expect((await farebox('sale', 'list', '--dir', directory)).exitCode).toBe(3)
    expect((await farebox('--admin', 'http://127.0.0.1:1', '--token-file', '/dev/null', 'nodes')).exitCode).toBe(3)
  })

  it('a coordinator and a Redis that hang are told within two seconds', async () => {
    const held = new Set<Socket>()
    const hung = createTcpServer((socket) => void held.add(socket))
    await new Promise<void>((resolve) => {
      hung.listen(0, '127.0.0.1', resolve)
    })
    const { port } = hung.address() as AddressInfo
    const members = ['c1', 'c2', 'c3'].map((id) => ({ id, adminUrl: `http://127.0.0.1:${port}`, process: null }))
    await writeFile(join(directory, 'cluster.json'), JSON.stringify({ coordinators: members }))
    const config = `identity: { secret: "${SECRET}" }\nredis: { url: "redis://127.0.0.1:${port}" }\n`
    await writeFile(join(directory, 'config.yaml'), config)
    const startMs = performance.now()
    for (const argv of [['nodes'], ['node', 'drain', 'n1'], ['sale', 'export', 'demo']]) {
      const said = await farebox(...argv, '--dir', directory)
      expect([said.exitCode, said.stderr]).toEqual([3, expect.stringContaining('does not answer') as string])
    }
    expect(performance.now() - startMs).toBeLessThan(3 * 2000)
    for (const socket of held) socket.destroy()
    hung.close()
  })

  it('a broken configuration exits 2 and tells its faults', async () => {
    await writeFile(join(directory, 'config.yaml'), 'ack: maybe\nquotas: 1\n')
    const said = await farebox('config', 'show', '--dir', directory, '--json')
    expect(said.exitCode).toBe(2)
    expect(JSON.parse(said.stdout)).toMatchObject({ error: { details: { faults: [{}, {}] } } })
  })
})

describe('asking a coordinator', () => {
  it('sends the token and shows the answer', async () => {
    const { url, asked } = await standIn(200, { items: [SALE] })
    const said = await farebox('sale', 'list', ...(await remote(url)))
    expect(said).toMatchObject({ exitCode: 0, stderr: '' })
    expect(said.stdout).toContain('demo  open')
    expect(asked).toMatchObject([{ method: 'GET', url: '/admin/sales', authorization: 'Bearer the-token' }])
  })

  it('prints exactly the answer with --json', async () => {
    const { url } = await standIn(200, { items: [] })
    expect((await farebox('sale', 'list', '--json', ...(await remote(url)))).stdout).toBe('{"items":[]}\n')
  })

  it('tells a refusal with its code and details', async () => {
    const error = { code: 'sale_differs', message: 'it differs', details: { differences: [] } }
    const { url } = await standIn(409, { error })
    const said = await farebox('sale', 'open', 'demo', '--json', ...(await remote(url)))
    expect(said.exitCode).toBe(1)
    expect(JSON.parse(said.stdout)).toEqual({ error })
  })

  it('follows the way to the leader, and comes again to one that has only just begun to lead anew', async () => {
    const leader = await standIn(200, { outcome: 'changed', sale: SALE, notHeardBy: ['n2'] })
    const details = { adminUrl: leader.url }
    const follower = await standIn(409, { error: { code: 'not_leader', message: 'c1 leads', details } })
    const said = await farebox('sale', 'open', 'demo', ...(await remote(follower.url)))
    expect(said.stdout).toBe('sale demo: changed, open; not yet heard by n2\n')
    const anew = await standIn(200, { items: [] }, 2)
    expect((await farebox('sale', 'list', ...(await remote(anew.url)))).exitCode).toBe(0)
    expect(anew.asked).toHaveLength(3)
    const circle = await standIn(409, {
      error: { code: 'not_leader', message: 'no', details: { adminUrl: follower.url } },
    })
    expect((await farebox('nodes', ...(await remote(circle.url)))).exitCode).toBe(1)
  })

  it('an audit that found something exits 1 with its report', async () => {
    const problems = [{ rule: 'held_counter', witness: 'fare second: counter held is 2' }]
    const report = { saleId: 'demo', at: '', fares: [], nodes: [], buyersOverLimit: 0, problems, ok: false }
    const { url } = await standIn(200, report)
    const said = await farebox('audit', 'demo', ...(await remote(url)))
    expect(said.exitCode).toBe(1)
    expect(said.stdout).toContain('held_counter: fare second')
    expect(JSON.parse((await farebox('audit', 'demo', '--json', ...(await remote(url)))).stdout)).toEqual(report)
  })

  it('recover and close need --yes without a terminal, and without it ask nothing of the cluster', async () => {
    const { url, asked } = await standIn(200, { outcome: 'changed', sale: SALE, notHeardBy: [] })
    for (const act of ['recover', 'close']) {
      asked.length = 0
      const said = await farebox('sale', act, 'demo', ...(await remote(url)))
      expect([said.exitCode, said.stdout]).toEqual([2, ''])
      expect(said.stderr).toContain('--yes')
      expect(asked).toEqual([])
      expect((await farebox('sale', act, 'demo', '--yes', ...(await remote(url)))).exitCode).toBe(0)
      expect(asked).toHaveLength(1)
    }
  })

  it('a bad sale file tells all faults and asks nothing', async () => {
    const { url, asked } = await standIn(200, {})
    const file = join(directory, 'sale.yaml')
    await writeFile(file, 'id: NO\nlimitPerBuyer: 0\n')
    const said = await farebox('sale', 'create', file, '--json', ...(await remote(url)))
    expect(said.exitCode).toBe(2)
    const { error } = JSON.parse(said.stdout) as { error: { details: { faults: unknown[] } } }
    expect(error.details.faults.length).toBeGreaterThan(3)
    expect(asked).toEqual([])
  })
})

describe('token', () => {
  const verify = createVerifier({ key: SECRET })

  it('prints the token alone, for the buyer and the time asked', async () => {
    await withConfig()
    const said = await farebox('token', '--buyer', 'alice', '--ttl', '2h', '--dir', directory)
    const claims = verify(said.stdout.trim()) as { sub: string; exp: number }
    expect(claims.sub).toBe('alice')
    expect(claims.exp * 1000 - Date.now()).toBeGreaterThan(7_190_000)
  })

  it('prints lines of buyer, tab, token', async () => {
    await withConfig()
    const said = await farebox('token', '--count', '3', '--prefix', 'b', '--dir', directory)
    const lines = said.stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
    expect(lines.map(([buyer]) => buyer)).toEqual(['b1', 'b2', 'b3'])
    expect((verify(lines[2]?.[1] ?? '') as { sub: string }).sub).toBe('b3')
  })

  it('refuses what is no time, count or buyer', async () => {
    await withConfig()
    const bad = [
      ['--buyer', 'a', '--ttl', 'soon'],
      ['--count', '0'],
      ['--buyer', 'ü'],
      ['--buyer', 'a', '--count', '2'],
    ]
    for (const argv of bad) expect((await farebox('token', ...argv, '--dir', directory)).exitCode).toBe(2)
    expect(['30s', '15m', '1h', '7d'].map(parseDurationMs)).toEqual([30_000, 900_000, 3_600_000, 604_800_000])
  })

  it('never shows the secret in the configuration', async () => {
    await withConfig()
    const said = await farebox('config', 'show', '--dir', directory, '--json')
    expect(said.exitCode).toBe(0)
    expect(said.stdout).not.toContain(SECRET)
    expect(said.stdout).toContain('"path":"deadAfterMs"')
  })
})

describe('table', () => {
  it('aligns numbers to the right and has no trailing blanks', () => {
    expect(
      table(
        ['A', 'NUMBER'],
        [
          ['x', 1],
          ['yy', 100],
        ],
      ),
    ).toBe('A   NUMBER\nx        1\nyy     100')
  })
})
