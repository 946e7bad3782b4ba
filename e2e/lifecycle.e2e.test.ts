/** A cluster as its operator lives with it: started twice, killed whole, resumed, ended. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { jsonOf, request, Rush } from './client.ts'
import type { History } from './client.ts'
import { Cluster, farebox, isRunning, saleText, startForeground, untilGone, workspace } from './cluster.ts'
import type { ClusterView } from './cluster.ts'
import { HEALTHY, judge, TROUBLED, wishOf } from './rush.ts'
import type { Buyer } from './rush.ts'
import { until } from './wait.ts'

const SALE = saleText({ seat: 30 })

let cluster: Cluster | null = null
afterEach(async () => {
  await cluster?.end()
  cluster = null
})

async function sell(url: string, buyers: readonly Buyer[]): Promise<History> {
  const wishes = buyers.map((buyer) => wishOf(buyer))
  const rush = new Rush(wishes, { target: () => url, concurrency: 10 })
  return rush.run()
}

function portsOf(view: ClusterView): number[] {
  const members = [...view.nodes.flatMap(({ url, adminUrl }) => [url, adminUrl]), view.adminUrl, view.redis.url]
  return [view.url, ...members].map((url) => Number(new URL(url).port))
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

async function openPorts(view: ClusterView): Promise<number[]> {
  const ports = portsOf(view)
  const open = await Promise.all(ports.map(isOpen))
  return ports.filter((_, index) => open[index])
}

it('a second up exits 1 and changes nothing', async () => {
  cluster = await Cluster.up({ nodes: 2, sale: SALE })
  const file = readFileSync(join(cluster.dir, 'cluster.json'), 'utf8')
  const pids = cluster.pids()
  for (const detach of [[], ['--detach']]) {
    const again = await cluster.farebox('up', '--port', '0', '--nodes', '3', ...detach)
    expect(again).toMatchObject({ code: 1, json: { error: { code: 'already_running' } } })
  }
  expect(readFileSync(join(cluster.dir, 'cluster.json'), 'utf8')).toBe(file)
  for (const [name, pid] of pids) expect(isRunning(pid), name).toBe(true)
  // On one machine all share its cores, and buyers come first.
  const nice = ['n1', 'o1'].map((name) => getPriority(pids.get(name)))
  expect(nice).toEqual([getPriority(), Math.max(getPriority(), 5)])
  const history = await sell(cluster.view.url, await cluster.tokens(40))
  expect(await judge(cluster, history, { stock: { seat: 30 }, limit: 2, answers: HEALTHY })).toEqual([])
})

it('killed whole, the next up resumes the sale with its orders', async () => {
  cluster = await Cluster.up({ nodes: 2, sale: SALE })
  const buyers = await cluster.tokens(40)
  const first = await sell(cluster.view.url, buyers.slice(0, 10))
  const pids = [...cluster.pids().values()]
  expect(pids).toHaveLength(7)
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await untilGone(pids)

  const up = await cluster.farebox('up', '--detach', '--sale', join(cluster.space.root, 'sale.yaml'))
  expect(up.code, up.stderr).toBe(0)
  const view = up.json as ClusterView
  expect(portsOf(view)).toEqual(portsOf(cluster.view))
  for (const { token, attempts } of first) {
    const id = attempts.at(-1)?.orderId ?? ''
    const reply = await request(`${view.url}/api/orders/${id}`, { headers: { Authorization: `Bearer ${token ?? ''}` } })
    expect([reply.status, jsonOf(reply)['id']]).toEqual([200, id])
  }
  const rest = await sell(view.url, buyers.slice(10))
  expect(await judge(cluster, [...first, ...rest], { stock: { seat: 30 }, limit: 2, answers: TROUBLED })).toEqual([])
})

it('down leaves no process and no port, and keeps the sale for the next up', async () => {
  cluster = await Cluster.up({ nodes: 2, sale: SALE })
  const { view } = cluster
  const pids = cluster.pids()
  const buyers = await cluster.tokens(40)
  const first = await sell(view.url, buyers.slice(0, 10))
  expect(await openPorts(view)).toHaveLength(portsOf(view).length)
  expect((await cluster.farebox('down')).code).toBe(0)
  for (const [name, pid] of pids) expect(isRunning(pid), name).toBe(false)
  expect(await openPorts(view)).toEqual([])
  expect((await cluster.farebox('down')).code).toBe(0)
  expect((await cluster.farebox('nodes')).code).toBe(3)

  expect((await cluster.farebox('up', '--detach')).code).toBe(0)
  const rest = await sell(view.url, buyers.slice(10))
  expect(await judge(cluster, [...first, ...rest], { stock: { seat: 30 }, limit: 2, answers: TROUBLED })).toEqual([])
})

it('Ctrl-C in the foreground ends everything', async () => {
  const space = workspace()
  const sale = space.file('sale.yaml', SALE)
  const { child, stdout } = startForeground(space.dir, ['--port', '0', '--nodes', '2', '--sale', sale])
  try {
    await until('the cluster', () => stdout().endsWith('}\n'), 60_000)
    const view = JSON.parse(stdout()) as ClusterView
    const pids = [view.nginx.pid, view.redis.pid, ...[...view.nodes, ...view.coordinators].map(({ pid }) => pid)]
    child.kill('SIGINT')
    const code = await until('its end', () => child.exitCode !== null && { code: child.exitCode })
    expect(code).toEqual({ code: 0 })
    expect(pids.filter(isRunning)).toEqual([])
    expect(await openPorts(view)).toEqual([])
  } finally {
    expect((await farebox(space.dir, ['down', '--purge', '--yes'])).code).toBe(0)
    expect(existsSync(space.dir)).toBe(false)
    rmSync(space.root, { recursive: true, force: true })
  }
})
