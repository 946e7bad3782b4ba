/** Real Redis and nginx, real supervisor and commands; nodes and coordinator are stand-ins that only answer. */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { identify, isAlive } from '../../runtime/process-identity.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { addNode, clusterStatus, startNode } from './cluster.ts'
import { aliveProcesses, processesOf, readCluster } from './cluster-file.ts'
import type { ClusterFile, ClusterView } from './cluster-file.ts'

const here = resolve(import.meta.dirname, '..', '..')
let root = ''
let dir = ''

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'farebox-root-'))
  mkdirSync(join(root, 'bin'))
  copyFileSync(join(import.meta.dirname, 'testing', 'farebox.mjs'), join(root, 'bin', 'farebox'))
  chmodSync(join(root, 'bin', 'farebox'), 0o755)
  copyFileSync(join(here, 'package.json'), join(root, 'package.json'))
  symlinkSync(join(here, 'node_modules'), join(root, 'node_modules'))
  const tsc = join(here, 'node_modules', '.bin', 'tsc')
  const project = join(here, 'setup', 'tsconfig.build.json')
  await promisify(execFile)(tsc, ['-p', project, '--outDir', join(root, 'dist')])
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'farebox-cluster-')), 'with space')
})
afterEach(async () => {
  const file = readCluster(dir)
  await farebox(['down'])
  if (file) expect(aliveProcesses(file)).toEqual([])
  rmSync(resolve(dir, '..'), { recursive: true, force: true })
})

interface Run {
  readonly code: number
  readonly json: unknown
  readonly stderr: string
}

function start(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): { child: ChildProcess; output: () => string } {
  const [command = '', ...rest] = args
  const all = [join(root, 'bin', 'farebox'), command, '--dir', dir, '--json', ...rest]
  const child = spawn(process.execPath, all, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (chunk) => (text += String(chunk)))
  return { child, output: () => text }
}

async function farebox(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Run> {
  const { child, output } = start(args, environment)
  let stderr = ''
  child.stderr?.on('data', (chunk) => (stderr += String(chunk)))
  const code = await new Promise<number>((done) => child.once('close', (status) => done(status ?? -1)))
  return { code, json: output() === '' ? null : JSON.parse(output()), stderr }
}

async function up(...args: string[]): Promise<ClusterView> {
  const run = await farebox(['up', '--detach', '--port', '0', ...args])
  expect(run, run.stderr).toMatchObject({ code: 0 })
  return run.json as ClusterView
}

function cluster(): ClusterFile {
  const file = readCluster(dir)
  if (!file) throw new Error('no cluster file')
  return file
}

function pids(): Map<string, number | undefined> {
  return new Map(processesOf(cluster()).map(({ name, process }) => [name, process?.pid]))
}

const SALE = `id: demo
name: Demo
limitPerBuyer: 2
holdSeconds: 300
fares:
  - { id: second, name: Second class, stock: 10, price: { amount: 100, currency: EUR } }
`

function saleFile(text = SALE): string {
  mkdirSync(dir, { recursive: true })
  const path = join(dir, 'sale.yaml')
  writeFileSync(path, text)
  return path
}

describe('up', () => {
  it('starts everything, answers through nginx, and down leaves nothing', async () => {
    const view = await up('--weights', '1,2,3', '--sale', saleFile())
    expect(Object.keys(view)).toEqual(['dir', 'url', 'adminUrl', 'nodes', 'redis', 'orders', 'coordinators', 'nginx'])
    expect(view.nodes.map(({ id, weight }) => [id, weight])).toEqual([
      ['n1', 1],
      ['n2', 2],
      ['n3', 3],
    ])
    expect((await fetch(`${view.url}/api/sales/demo`)).status).toBe(200)
    for (const name of ['identity.secret', 'admin.token', 'config.yaml']) {
      expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
    }
    const secret = readFileSync(join(dir, 'identity.secret'), 'utf8')
    expect(secret.length).toBeGreaterThanOrEqual(32)
    for (const pid of pids().values()) expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(secret)
    expect((await clusterStatus(dir)).every(({ alive }) => alive)).toBe(true)
    const file = cluster()
    const down = await farebox(['down'])
    expect(down.code).toBe(0)
    expect(aliveProcesses(file)).toEqual([])
    expect(file.supervisor && isAlive(file.supervisor)).toBe(false)
    expect((await farebox(['down'])).json).toMatchObject({ stopped: [] })
    expect(await farebox(['down', '--purge'])).toMatchObject({ code: 2, json: { error: { code: 'needs_yes' } } })
    expect(existsSync(dir)).toBe(true)
    expect((await farebox(['down', '--purge', '--yes'])).code).toBe(0)
    expect(existsSync(dir)).toBe(false)
  })

  it('is refused on a running directory and changes nothing', async () => {
    await up('--nodes', '2')
    const before = readFileSync(join(dir, 'cluster.json'), 'utf8')
    const again = await farebox(['up', '--port', '0', '--nodes', '1'])
    expect(again).toMatchObject({ code: 1, json: { error: { code: 'already_running' } } })
    expect(readFileSync(join(dir, 'cluster.json'), 'utf8')).toBe(before)
    expect((await clusterStatus(dir)).every(({ alive }) => alive)).toBe(true)
  })

  it('resumes a stopped directory on the same ports, with the same nodes', async () => {
    const first = await up('--weights', '2,1')
    await farebox(['down'])
    const run = await farebox(['up', '--detach'])
    const second = run.json as ClusterView
    expect(run.code).toBe(0)
    expect(second.url).toBe(first.url)
    expect(second.nodes.map(({ url, weight }) => [url, weight])).toEqual(
      first.nodes.map(({ url, weight }) => [url, weight]),
    )
    expect(second.redis.url).toBe(first.redis.url)
  })

  it('stops what it started and names a process that fails', async () => {
    const run = await farebox(['up', '--port', '0', '--nodes', '2'], { FAKE_FAIL: 'n2' })
    expect(run.code).toBe(1)
    expect(run.json).toMatchObject({
      error: { code: 'process_failed', message: expect.stringContaining('n2') as string },
    })
    expect(JSON.stringify(run.json)).toContain('the moon is full')
    expect(aliveProcesses(cluster())).toEqual([])
  })

  it('a detached start that fails says the same', async () => {
    const run = await farebox(['up', '--detach', '--port', '0', '--nodes', '1'], { FAKE_FAIL: 'c1' })
    expect(run).toMatchObject({ code: 1, json: { error: { code: 'process_failed' } } })
    expect(aliveProcesses(cluster())).toEqual([])
  })

  it('refuses wrong numbers and unreadable files', async () => {
    expect((await farebox(['up', '--nodes', '0'])).code).toBe(2)
    expect((await farebox(['up', '--weights', '1,x'])).code).toBe(2)
    expect((await farebox(['up', '--nodes', '2', '--weights', '1', '--port', '0'])).code).toBe(2)
    expect((await farebox(['up', '--sale', '/nowhere.yaml'])).code).toBe(2)
    expect((await farebox(['up', '--config', '/nowhere.yaml'])).code).toBe(2)
    expect(readCluster(dir)).toBeNull()
  })

  it('makes and opens its sale though each call fails once to say that it was done', async () => {
    const args = ['up', '--detach', '--port', '0', '--nodes', '1', '--sale', saleFile()]
    const run = await farebox(args, { FAKE_TROUBLE: '1' })
    expect(run, run.stderr).toMatchObject({ code: 0 })
    const asked = readFileSync(join(dir, 'logs', 'c1.log'), 'utf8').match(/^asked .*$/gm)
    const [make, open] = ['asked /admin/sales', 'asked /admin/sales/demo/open']
    expect(asked).toEqual([make, make, open, open])
  })

  it('with a sale that differs from the one made exits 1 and stops what it started', async () => {
    const differs = saleFile()
    // The stand-in forgets on restart, so the sale that it knows is planted by its environment.
    const run = await farebox(['up', '--port', '0', '--nodes', '1', '--sale', differs], { FAKE_SALE: 'another' })
    expect(run).toMatchObject({ code: 1, json: { error: { code: 'sale_refused' } } })
    expect(JSON.stringify(run.json)).toContain('exists and differs')
    expect(aliveProcesses(cluster())).toEqual([])
  })

  it('names a program that is missing, exit 69, and leaves nothing running', async () => {
    for (const there of [[], ['redis-server']]) {
      const path = mkdtempSync(join(tmpdir(), 'farebox-path-'))
      for (const name of there) symlinkSync(join('/usr/bin', name), join(path, name))
      const run = await farebox(['up', '--port', '0', '--nodes', '1'], { PATH: path })
      rmSync(path, { recursive: true })
      expect(run).toMatchObject({ code: 69, json: { error: { code: 'missing_program' } } })
      expect(aliveProcesses(cluster())).toEqual([])
    }
  })

  it('ends cleanly on Ctrl-C, also in the middle of the start', async () => {
    const { child, output } = start(['up', '--port', '0', '--nodes', '1'])
    await waitFor(() => output().includes('}'), { deadlineMs: 20_000, what: 'the cluster' })
    const file = cluster()
    child.kill('SIGINT')
    expect(await new Promise((done) => child.once('close', done))).toBe(0)
    expect(aliveProcesses(file)).toEqual([])

    const second = start(['up', '--nodes', '1'], { FAKE_HANG: 'n1' })
    await waitFor(
      () =>
        readCluster(dir)?.nodes[0]?.process?.pid !== file.nodes[0]?.process?.pid &&
        aliveProcesses(cluster()).length >= 3,
      {
        deadlineMs: 20_000,
        what: 'the node',
      },
    )
    second.child.kill('SIGINT')
    expect(await new Promise((done) => second.child.once('close', done))).not.toBe(0)
    expect(aliveProcesses(cluster())).toEqual([])
  })
})

describe('deaths', () => {
  it('a killed supervisor leaves processes which down finds', async () => {
    await up('--nodes', '1')
    const file = cluster()
    process.kill(file.supervisor?.pid ?? 0, 'SIGKILL')
    expect((await farebox(['up', '--port', '0'])).json).toMatchObject({ error: { code: 'already_running' } })
    expect(aliveProcesses(file)).toHaveLength(5)
    expect((await farebox(['down'])).code).toBe(0)
    expect(aliveProcesses(file)).toEqual([])
  })

  it('a crashed directory is resumed', async () => {
    await up('--nodes', '1')
    const file = cluster()
    process.kill(file.supervisor?.pid ?? 0, 'SIGKILL')
    for (const { process: one } of processesOf(file)) process.kill(one?.pid ?? 0, 'SIGKILL')
    await waitFor(() => aliveProcesses(file).length === 0, { deadlineMs: 5000, what: 'the end' })
    expect((await farebox(['up', '--detach'])).code).toBe(0)
    expect(cluster().url).toBe(file.url)
  })

  it('nothing is restarted without --restart, everything with it', async () => {
    await up('--nodes', '2', '--restart')
    const before = pids()
    for (const name of ['n1', 'o1', 'redis', 'c1', 'nginx']) process.kill(before.get(name) ?? 0, 'SIGKILL')
    await waitFor(
      () =>
        ['n1', 'o1', 'redis', 'c1', 'nginx'].every((name) => pids().get(name) !== before.get(name)) &&
        aliveProcesses(cluster()).length === 6,
      { deadlineMs: 20_000, what: 'the restarts' },
    )
    expect(pids().get('n2')).toBe(before.get('n2'))
  })

  it('a pid that belongs to a stranger is not signalled', async () => {
    await up('--nodes', '1')
    const stranger = spawn('sleep', ['600'])
    const file = cluster()
    process.kill(file.nodes[0]?.process?.pid ?? 0, 'SIGKILL')
    const forged = {
      ...file,
      nodes: file.nodes.map((node) => ({ ...node, process: { pid: stranger.pid, startTicks: 1 } })),
    }
    writeFileSync(join(dir, 'cluster.json'), JSON.stringify(forged))
    await farebox(['down'])
    expect(identify(stranger.pid ?? 0)).not.toBeNull()
    stranger.kill()
  })

  it('Redis that was started again by hand is known and stopped', async () => {
    const view = await up('--nodes', '1')
    process.kill(view.redis.pid ?? 0, 'SIGKILL')
    const byHand = spawn('redis-server', [view.redis.config ?? ''], { stdio: 'ignore' })
    await waitFor(async () => (await clusterStatus(dir)).every(({ alive }) => alive), {
      deadlineMs: 10_000,
      what: 'redis',
    })
    await farebox(['down'])
    await waitFor(() => byHand.exitCode !== null || byHand.signalCode !== null, { deadlineMs: 5000, what: 'its end' })
  })
})

/** How often it began, by its log. */
function startsOf(id: string): number {
  return readFileSync(join(dir, 'logs', `${id}.log`), 'utf8').split(`node ${id} starts`).length - 1
}

describe('nodes', () => {
  it('are added, and started again', async () => {
    await up('--nodes', '1')
    const added = await addNode(root, dir, 3)
    expect(added).toMatchObject({ id: 'n2', weight: 3 })
    const pid = added.process?.pid ?? 0
    expect((await startNode(root, dir, 'n2')).process?.pid).toBe(pid)
    process.kill(pid, 'SIGKILL')
    await waitFor(() => added.process && !isAlive(added.process), { deadlineMs: 5000, what: 'its death' })
    expect((await startNode(root, dir, 'n2')).process?.pid).not.toBe(pid)
    await expect(startNode(root, dir, 'n9')).rejects.toThrow('there is no node "n9"')
  })

  it('are started once by all who find one dead at the same time, and known to the file', async () => {
    await up('--nodes', '1')
    const { process: first } = cluster().nodes[0] ?? {}
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await waitFor(() => first && !isAlive(first), { deadlineMs: 5000, what: 'its death' })
    const before = startsOf('n1')
    const started = await Promise.all(Array.from({ length: 4 }, async () => startNode(root, dir, 'n1')))
    expect(new Set(started.map((node) => node.process?.pid))).toEqual(new Set([pids().get('n1')]))
    expect(startsOf('n1')).toBe(before + 1)
    expect(aliveProcesses(cluster()).map(({ name }) => name)).toContain('n1')
  })
})
