/**
 * What is done to a running cluster, and undone. A fault counts only when it took effect: its victim was alive, a
 * reply really was swallowed, another server really was promoted.
 */
import type { TestPostgres } from '../../orders/ledger/conformance/test-postgres.ts'
import type { Random } from '../../runtime/random.ts'
import { type Cluster, isRunning } from '../cluster.ts'
import { pause, until } from '../wait.ts'
import { saleStateOf } from './selling.ts'
import type { OwnRedis } from './own-redis.ts'
import type { SentinelGroup } from './sentinel-group.ts'

export interface Site {
  readonly cluster: Cluster
  readonly random: Random
  readonly saleId: string
  /** Fresh buyers come to this very node; resolves when each has asked once. */
  buyAt(url: string): Promise<void>
}

export interface Fault {
  readonly name: string
  /** Does it and undoes it; resolves with how often it took effect. */
  strike(site: Site): Promise<number>
}

/** One is started after the other, and each is waited for, while Redis and ledger may be away. */
const STARTED_AGAIN_WITHIN_MS = 60_000

type Kind = 'node' | 'orders' | 'coordinator'

/** A process that `up --restart` brings back. */
export function killed(kind: Kind): Fault {
  return {
    name: `kill -9 ${kind}`,
    async strike(site) {
      const { name, pid } = await signalled(site, kind, 'SIGKILL')
      const isBack = (): boolean => {
        const now = site.cluster.pids().get(name)
        return now !== undefined && now !== pid && isRunning(now)
      }
      await until(`${name} to be started again`, isBack, STARTED_AGAIN_WITHIN_MS)
      return 1
    },
  }
}

export function paused(kind: Kind, fromMs: number, toMs: number): Fault {
  return {
    name: `pause ${kind}`,
    async strike(site) {
      const { pid } = await signalled(site, kind, 'SIGSTOP')
      try {
        await pause(between(site, fromMs, toMs))
      } finally {
        if (isRunning(pid)) process.kill(pid, 'SIGCONT')
      }
      return 1
    },
  }
}

export const reloadNginx: Fault = {
  name: 'reload nginx',
  async strike({ cluster }) {
    const pid = cluster.pids().get('nginx')
    if (pid === undefined || !isRunning(pid)) return 0
    process.kill(pid, 'SIGHUP')
    return 1
  },
}

/** Long enough for one roll to wait for all that is broken meanwhile, and for another one before it. */
const ROLLED_WITHIN_MS = 120_000

/** It stops at a node that died or is silent; when that is well again, it is called again and goes on where it was. */
export const rollingRestart: Fault = {
  name: 'rolling restart',
  async strike({ cluster }) {
    const isDone = async (): Promise<boolean> => (await cluster.farebox('roll')).code === 0
    await until('a rolling restart to come to its end', isDone, ROLLED_WITHIN_MS)
    return 1
  },
}

/** One after the other: a ledger that is away cannot be taken away. */
export function ledgerFaults(postgres: TestPostgres): { readonly silent: Fault; readonly killed: Fault } {
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = (work: () => Promise<number>): Promise<number> => {
    const done = turn.then(work)
    turn = done
    return done
  }
  return {
    silent: {
      name: 'ledger silent',
      strike: (site) =>
        inTurn(async () => {
          try {
            await postgres.freeze()
            await pause(between(site, 500, 2500))
          } finally {
            await postgres.thaw()
          }
          return 1
        }),
    },
    killed: {
      name: 'kill -9 ledger',
      strike: (site) =>
        inTurn(async () => {
          await postgres.kill()
          await pause(between(site, 0, 1500))
          await postgres.restart()
          return 1
        }),
    },
  }
}

export function redisFaults(redis: OwnRedis) {
  const { proxy } = redis
  /** Something about the wire for a while. */
  const wire = (name: string, disturb: (site: Site) => void, fromMs: number, toMs: number): Fault => ({
    name,
    async strike(site) {
      disturb(site)
      await pause(between(site, fromMs, toMs))
      proxy.heal()
      return 1
    },
  })
  const killed: Fault = {
    name: 'kill -9 redis',
    strike: async () => (await redis.dieAndReturn(), 1),
  }
  const diskFull: Fault = {
    name: 'disk full',
    strike: async () => (await redis.fillDisk(), 1),
  }
  const dropReplies: Fault = {
    name: 'drop replies',
    async strike(site) {
      const wanted = between(site, 50, 60)
      const before = proxy.droppedReplies
      proxy.dropReplies(wanted)
      // Everybody talks to Redis a few times a second, so replies keep coming, also between purchases.
      await until('replies to be swallowed', () => proxy.droppedReplies >= before + wanted)
      return wanted
    },
  }
  const wires = [
    wire('stall redis', () => proxy.stall(), 300, 2500),
    wire('delay redis', (site) => proxy.delay(between(site, 5, 60)), 500, 2000),
    wire('half-open redis', () => proxy.halfOpen(), 300, 1500),
    wire('cut redis', () => proxy.cut(), 0, 100),
  ]
  return { killed, diskFull, dropReplies, wires }
}

/** Beside the promotion buyers meet a primary, and one or two nodes, that nobody else sees. */
export function failovers(group: SentinelGroup): { readonly byKill: Fault; readonly byPartition: Fault } {
  return {
    byKill: {
      name: 'kill -9 primary',
      strike: async () => (await group.failoverByKill(), 1),
    },
    byPartition: {
      name: 'partition primary',
      async strike(site) {
        const names = site.cluster.view.nodes.map(({ id }) => id)
        const first = site.random.below(names.length)
        const staying = [names[first], names[(first + 1) % names.length]].slice(0, 1 + site.random.below(2))
        // Read anew at each look: one that dies meanwhile is started again, on the same side.
        const pids = (): number[] => staying.flatMap((name) => site.cluster.pids().get(name ?? '') ?? [])
        const before = await newestEra(site, names)
        const others = names.filter((name) => !staying.includes(name))
        await group.failoverByPartition(pids, async () => {
          // What is told here once the sale goes on elsewhere nobody else can know.
          const goesOn = async (): Promise<boolean> => (await newestEra(site, others)) > before
          await until('the sale to go on elsewhere', goesOn, GOES_ON_WITHIN_MS).catch(() => {})
          await site.buyAt(site.cluster.node(staying[0] ?? '').url)
          await pause(between(site, 0, 1000))
        })
        return 1
      },
    },
  }
}

/** Else another fault keeps it from that. */
const GOES_ON_WITHIN_MS = 6000

/** In which one of these nodes sells; 0 for none. */
async function newestEra({ cluster, saleId }: Site, names: readonly string[]): Promise<number> {
  const states = await Promise.all(names.map((name) => saleStateOf(cluster.node(name), saleId)))
  return Math.max(0, ...states.map((sale) => (sale === null || sale.recovering ? 0 : sale.era)))
}

/** One that dies of another fault in this very moment is no victim. */
async function signalled(site: Site, kind: Kind, signal: NodeJS.Signals): ReturnType<typeof pick> {
  for (;;) {
    const victim = await pick(site, kind)
    try {
      process.kill(victim.pid, signal)
      return victim
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
}

/** One that lives; if none of the kind does, the first that does again. */
async function pick({ cluster, random }: Site, kind: Kind): Promise<{ readonly name: string; readonly pid: number }> {
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
