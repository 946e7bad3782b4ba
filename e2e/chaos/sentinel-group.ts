/**
 * Three Redis servers and the three Sentinels that watch them, as an operator would run them: one primary, two replicas,
 * each with fsync on every write. Every server and every Sentinel is reached, also by its peers, through a wire of its
 * own, so that any of them can be cut off from some processes and not from others.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../runtime/free-ports.ts'
import { withStore } from '../store.ts'
import { until } from '../wait.ts'
import { type Connection, connectionsOf } from './peers.ts'
import { TcpProxy } from './tcp-proxy.ts'

const NAME = 'tickets'
const HOST = '127.0.0.1'
const DOWN_AFTER_MS = 500
const SETTLES_WITHIN_MS = 30_000
/** Sentinel looks, tells and waits in seconds; here in fractions of one. What it decides stays the same. */
const BRISK = ['INFO-PERIOD', '500', 'ASK-PERIOD', '100', 'PUBLISH-PERIOD', '200']
const FAILOVER_TIMEOUT_MS = 1000

/** One process and the wire to it; it may die and be started again. */
class Member {
  readonly port: number
  readonly front: TcpProxy
  readonly directory: string
  #process: ChildProcess | null = null

  constructor(port: number, front: TcpProxy, directory: string) {
    this.port = port
    this.front = front
    this.directory = directory
  }

  static async reserve(directory: string): Promise<Member> {
    const port = await freePort()
    mkdirSync(directory)
    return new Member(port, await TcpProxy.start(() => port), directory)
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get url(): string {
    return `redis://${HOST}:${this.port}`
  }

  run(args: readonly string[]): void {
    this.#process = spawn('redis-server', [...args], { stdio: 'ignore' })
  }

  async kill(): Promise<void> {
    const process = this.#process
    if (process === null || process.exitCode !== null || process.signalCode !== null) return
    const gone = once(process, 'exit')
    process.kill('SIGKILL')
    await gone
  }

  /** Past the wire; null when it does not answer. */
  async ask(...command: [string, ...string[]]): Promise<unknown> {
    return withStore(this.url, (redis) => redis.call(...command)).catch(() => null)
  }

  async replication(): Promise<ReadonlyMap<string, string>> {
    const text = String(await this.ask('INFO', 'replication'))
    return new Map(text.split('\r\n').map((line) => line.split(':', 2) as [string, string]))
  }
}

export class SentinelGroup {
  readonly #directory: string
  readonly #servers: readonly Member[]
  readonly #sentinels: readonly Member[]
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(directory: string, servers: readonly Member[], sentinels: readonly Member[]) {
    this.#directory = directory
    this.#servers = servers
    this.#sentinels = sentinels
  }

  static async start(): Promise<SentinelGroup> {
    const directory = mkdtempSync(join(tmpdir(), 'farebox-sentinels-'))
    const reserve = (name: string): Promise<Member> => Member.reserve(join(directory, name))
    const servers = await Promise.all(['a', 'b', 'c'].map(reserve))
    const sentinels = await Promise.all(['s1', 's2', 's3'].map(reserve))
    const group = new SentinelGroup(directory, servers, sentinels)
    const [first] = servers
    if (first === undefined) throw new Error('no server')
    for (const server of servers) group.#serve(server, server === first ? null : first)
    for (const server of servers) await until('a server to answer', async () => (await server.ask('PING')) === 'PONG')
    for (const sentinel of sentinels) watch(sentinel, first)
    for (const sentinel of sentinels) {
      await until('a Sentinel to be brisk', async () => (await sentinel.ask('SENTINEL', 'DEBUG', ...BRISK)) === 'OK')
    }
    await group.untilWhole()
    return group
  }

  /** As the configuration has it. */
  get url(): string {
    const hosts = this.#sentinels.map(({ front }) => `${HOST}:${front.port}`)
    return `redis+sentinel://${hosts.join(',')}/${NAME}`
  }

  /** Of the server that the Sentinels name, past every wire; for a test's own look. */
  async primaryUrl(): Promise<string> {
    return (await this.#primary()).url
  }

  /** The wires to the data, for whatever else may happen to one. */
  get wires(): readonly TcpProxy[] {
    return this.#servers.map(({ front }) => front)
  }

  /** The primary dies with -9 and comes back as a replica of the one that was promoted; one failover after the other. */
  failoverByKill(): Promise<void> {
    return this.#inTurn(async () => {
      const old = await this.#primary()
      await old.kill()
      const next = await this.#untilPromoted(old)
      this.#serve(old, next)
      await this.untilWhole()
    })
  }

  /**
   * The primary is cut off from Sentinels, replicas (all, or all but one) and everybody but `staying`, processes that see
   * nothing else, until another was promoted and `during` is over.
   */
  failoverByPartition(
    staying: () => readonly number[],
    during: () => Promise<void>,
    replicasStaying: 0 | 1 = 0,
  ): Promise<void> {
    return this.#inTurn(async () => {
      const old = await this.#primary()
      const replicas = this.#servers.filter((server) => server !== old)
      this.#cut([old, ...replicas.slice(0, replicasStaying)], staying)
      try {
        await this.#untilPromoted(old)
        await during()
      } finally {
        this.heal()
      }
      await this.untilWhole()
    })
  }

  heal(): void {
    for (const { front } of [...this.#servers, ...this.#sentinels]) front.heal()
  }

  /** One primary that all Sentinels name, and two replicas that follow it. */
  async untilWhole(): Promise<void> {
    const isWhole = async (): Promise<boolean> => {
      const primary = await this.#named()
      if (primary === null || !(await this.#isCalm())) return false
      const states = await Promise.all(
        this.#servers.map(async (server) => {
          const state = await server.replication()
          if (server === primary) return state.get('role') === 'master' && state.get('connected_slaves') === '2'
          const follows = Number(state.get('master_port')) === primary.front.port
          return state.get('role') === 'slave' && follows && state.get('master_link_status') === 'up'
        }),
      )
      return states.every(Boolean)
    }
    await until('one primary and two replicas', isWhole, SETTLES_WITHIN_MS)
  }

  async end(): Promise<void> {
    await this.#turn.catch(() => undefined)
    for (const member of [...this.#sentinels, ...this.#servers]) {
      await member.kill()
      await member.front.close()
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.catch(() => undefined).then(work)
    this.#turn = done
    return done
  }

  /** Both sides: a wire carries only what begins and ends on one of them. */
  #cut(apart: readonly Member[], staying: () => readonly number[]): void {
    const inside = (): ReadonlySet<Connection> => connectionsOf([...apart.map(({ pid }) => pid), ...staying()])
    // All that are there at one look: many looks would hold up everything that goes through the wires.
    const members = [...this.#servers, ...this.#sentinels]
    const now = inside()
    const known = new Set(members.flatMap(({ front }) => front.clientPorts.map((port) => nameOf(port, front))))
    const isInside = (name: Connection): boolean => (known.has(name) ? now : inside()).has(name)
    for (const member of members) {
      member.front.partition((port) => isInside(nameOf(port, member.front)) !== apart.includes(member))
    }
    // Ports are used again.
    known.clear()
  }

  async #primary(): Promise<Member> {
    return until('the Sentinels to name one primary', () => this.#named(), SETTLES_WITHIN_MS)
  }

  /** No Sentinel is at work, and each sees all the others: one that is would miss what comes next. */
  async #isCalm(): Promise<boolean> {
    const states = await Promise.all(
      this.#sentinels.map(async (sentinel) => {
        const reply = await sentinel.ask('SENTINEL', 'MASTER', NAME)
        const fields = Array.isArray(reply) ? reply.map(String) : []
        const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1]
        return [field('flags'), field('num-slaves'), field('num-other-sentinels')].join(' ') === 'master 2 2'
      }),
    )
    return states.every(Boolean)
  }

  /** Null while they do not agree. */
  async #named(): Promise<Member | null> {
    const ports = await Promise.all(
      this.#sentinels.map(async (sentinel) => {
        const address = await sentinel.ask('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)
        return Array.isArray(address) ? Number(address[1]) : 0
      }),
    )
    const named = this.#servers.find(({ front }) => front.port === ports[0])
    return ports.every((port) => port === ports[0]) ? (named ?? null) : null
  }

  async #untilPromoted(old: Member): Promise<Member> {
    const promoted = async (): Promise<Member | null> => {
      const named = await this.#named()
      if (named === null || named === old) return null
      return (await named.replication()).get('role') === 'master' ? named : null
    }
    return until('another server to be promoted', promoted, SETTLES_WITHIN_MS)
  }

  #serve(server: Member, primary: Member | null): void {
    const { port, front, directory } = server
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction', '--save', '']
    const announced = ['--replica-announce-ip', HOST, '--replica-announce-port', String(front.port)]
    const swift = ['--repl-diskless-sync-delay', '0', '--repl-timeout', '5', '--repl-ping-replica-period', '1']
    const follows = primary === null ? [] : ['--replicaof', HOST, String(primary.front.port)]
    const own = ['--port', String(port), '--bind', HOST, '--dir', directory]
    server.run([...own, ...durable, ...announced, ...swift, ...follows])
  }
}

function nameOf(clientPort: number, front: TcpProxy): Connection {
  return `${clientPort}>${front.port}`
}

function watch(sentinel: Member, primary: Member): void {
  const config = join(sentinel.directory, 'sentinel.conf')
  const lines = [
    `port ${sentinel.port}`,
    `bind ${HOST}`,
    `dir ${sentinel.directory}`,
    `sentinel announce-ip ${HOST}`,
    `sentinel announce-port ${sentinel.front.port}`,
    `sentinel monitor ${NAME} ${HOST} ${primary.front.port} 2`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT_MS}`,
    `sentinel parallel-syncs ${NAME} 2`,
  ]
  writeFileSync(config, `${lines.join('\n')}\n`)
  sentinel.run([config, '--sentinel'])
}
