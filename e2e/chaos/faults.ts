/**
 * What is done to a running cluster, and undone. A fault counts only when it took effect: its victim was alive, a
 * reply really was swallowed.
 */
import type { Random } from '../../runtime/random.ts'
import { type Cluster, isRunning } from '../cluster.ts'
import { pause, until } from '../wait.ts'
import type { OwnRedis } from './own-redis.ts'

export interface Site {
  readonly cluster: Cluster
  readonly redis: OwnRedis
  readonly random: Random
}

export interface Fault {
  readonly name: string
  /** Does it and undoes it; resolves with how often it took effect. */
  strike(site: Site): Promise<number>
}

/** A process that `up --restart` brings back. */
function killed(kind: 'node' | 'orders' | 'coordinator'): Fault {
  return {
    name: `kill -9 ${kind}`,
    async strike(site) {
      const { name, pid } = await pick(site, kind)
      process.kill(pid, 'SIGKILL')
      await until(`${name} to be started again`, () => {
        const now = site.cluster.pids().get(name)
        return now !== undefined && now !== pid && isRunning(now)
      })
      return 1
    },
  }
}

function paused(kind: 'node' | 'orders' | 'coordinator', fromMs: number, toMs: number): Fault {
  return {
    name: `pause ${kind}`,
    async strike(site) {
      const { pid } = await pick(site, kind)
      process.kill(pid, 'SIGSTOP')
      try {
        await pause(between(site, fromMs, toMs))
      } finally {
        if (isRunning(pid)) process.kill(pid, 'SIGCONT')
      }
      return 1
    },
  }
}

const killRedis: Fault = {
  name: 'kill -9 redis',
  async strike({ redis }) {
    await redis.dieAndReturn()
    return 1
  },
}

const dropReplies: Fault = {
  name: 'drop replies',
  async strike(site) {
    const { proxy } = site.redis
    const wanted = between(site, 40, 60)
    const before = proxy.droppedReplies
    proxy.dropReplies(wanted)
    // Everybody talks to Redis a few times a second, so replies keep coming, also between purchases.
    await until('replies to be swallowed', () => proxy.droppedReplies >= before + wanted)
    return proxy.droppedReplies - before
  },
}

/** Something about the wire for a while. */
function wire(name: string, disturb: (site: Site) => void, fromMs: number, toMs: number): Fault {
  return {
    name,
    async strike(site) {
      disturb(site)
      await pause(between(site, fromMs, toMs))
      site.redis.proxy.heal()
      return 1
    },
  }
}

const reloadNginx: Fault = {
  name: 'reload nginx',
  async strike({ cluster }) {
    const pid = cluster.pids().get('nginx')
    if (pid === undefined || !isRunning(pid)) return 0
    process.kill(pid, 'SIGHUP')
    return 1
  },
}

export const KILLS: readonly Fault[] = [
  killed('node'),
  killed('node'),
  killed('orders'),
  killed('coordinator'),
  killRedis,
]
export const PAUSES: readonly Fault[] = [
  paused('node', 500, 4000),
  paused('orders', 500, 2000),
  paused('coordinator', 500, 4000),
]
export const DROPS: readonly Fault[] = [dropReplies]
export const OTHERS: readonly Fault[] = [
  wire('stall redis', ({ redis }) => redis.proxy.stall(), 300, 2500),
  wire('delay redis', (site) => site.redis.proxy.delay(between(site, 5, 60)), 500, 2000),
  wire('half-open redis', ({ redis }) => redis.proxy.halfOpen(), 300, 1500),
  wire('cut redis', ({ redis }) => redis.proxy.cut(), 0, 100),
  reloadNginx,
]

/** One that lives; if none of the kind does, the first that does again. */
async function pick(
  { cluster, random }: Site,
  kind: 'node' | 'orders' | 'coordinator',
): Promise<{ readonly name: string; readonly pid: number }> {
  const { nodes, orders, coordinators } = cluster.view
  const ids = { node: nodes, orders, coordinator: coordinators }[kind].map(({ id }) => id)
  const living = await until(`a living ${kind}`, () => {
    const pids = cluster.pids()
    const found = ids.flatMap((name) => {
      const pid = pids.get(name)
      return pid !== undefined && isRunning(pid) ? [{ name, pid }] : []
    })
    return found.length > 0 && found
  })
  const one = living[random.below(living.length)]
  if (one === undefined) throw new Error(`no ${kind} lives`)
  return one
}

function between({ random }: Site, from: number, to: number): number {
  return from + random.below(to - from + 1)
}
