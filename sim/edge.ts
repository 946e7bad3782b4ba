/**
 * nginx as simulated: spreads buyers over the nodes of the newest topology by weight. A connection that is refused
 * goes to the next node; a request that was sent is never sent again, whatever becomes of it.
 */
import type { LoadBalancer } from '../coordinator/daemon/load-balancer.ts'
import { isSameTopology, type Topology } from '../coordinator/plan/topology.ts'
import { compareVersions } from '../stock/core/words.ts'
import type { Kernel } from './kernel.ts'
import type { BuyReply, BuyRequest, NodeProcess } from './node-process.ts'

const TRIES_MAX = 4
const HOP_MS = 0.3
/** nginx waits for an answer a little longer than a node may take. */
const ANSWER_MARGIN_MS = 1000

const UNKNOWN: BuyReply = { status: 503, code: 'outcome_unknown', orderId: null }

export class Edge implements LoadBalancer {
  /** Requests that a node did not answer which ran all the while. */
  readonly unanswered: string[] = []
  #topology: Topology
  /** Of the last topology that had any. */
  #servers: Topology['servers']
  readonly #nodes: ReadonlyMap<string, NodeProcess>
  readonly #kernel: Kernel
  readonly #readTimeoutMs: number
  /** In the order in which they were sent. */
  readonly #open: OpenRequest[] = []
  /** Where in it the oldest without an answer may be. */
  #oldest = 0
  #isWatching = false

  constructor(kernel: Kernel, nodes: readonly NodeProcess[], buyDeadlineMs: number) {
    this.#kernel = kernel
    this.#nodes = new Map(nodes.map((node) => [node.host.id, node]))
    this.#readTimeoutMs = buyDeadlineMs + ANSWER_MARGIN_MS
    for (const node of nodes) node.host.onCrash = () => this.#onCrash(node)
    const servers = nodes.map(({ host }) => ({ id: host.id, url: '', weight: 1 }))
    this.#topology = { version: { era: 0, seq: 0 }, servers, orders: [] }
    this.#servers = servers
  }

  /**
   * Refuses one that is older than the one in force, or another one of its version, and sends buyers where it sent them
   * last when nobody is live.
   */
  async apply(topology: Topology): Promise<string | null> {
    const order = compareVersions(topology.version, this.#topology.version)
    if (order < 0 || (order === 0 && !isSameTopology(topology, this.#topology))) return null
    this.#topology = topology
    if (topology.servers.length > 0) this.#servers = topology.servers
    return this.inForce()
  }

  /** No two plans of one version come into force here, so the version is mark enough. */
  async inForce(): Promise<string> {
    const { era, seq } = this.#topology.version
    return `${era}.${seq}`
  }

  sendsTo(nodeId: string): boolean {
    return this.#servers.some(({ id }) => id === nodeId)
  }

  buy(request: BuyRequest, respond: (reply: BuyReply) => void): void {
    this.#try(request, respond, [])
  }

  /** Straight to one node, as a tool on its own port may. */
  buyAt(nodeId: string, request: BuyRequest, respond: (reply: BuyReply) => void): void {
    const node = this.#nodes.get(nodeId)
    if (node?.host.isUp === true) this.#send(node, request, respond)
    else this.#kernel.schedule(null, HOP_MS, 'refused', () => respond(UNKNOWN))
  }

  #try(request: BuyRequest, respond: (reply: BuyReply) => void, tried: readonly string[]): void {
    const node = tried.length < TRIES_MAX ? this.#choose(tried) : null
    if (node === null) {
      this.#kernel.schedule(null, HOP_MS, 'refused', () => respond(UNKNOWN))
      return
    }
    if (node.host.isUp) this.#send(node, request, respond)
    else this.#kernel.schedule(null, HOP_MS, 'next', () => this.#try(request, respond, [...tried, node.host.id]))
  }

  #choose(tried: readonly string[]): NodeProcess | null {
    const all = this.#servers
    const servers = tried.length === 0 ? all : all.filter(({ id }) => !tried.includes(id))
    let weights = 0
    for (const { weight } of servers) weights += weight
    let draw = this.#kernel.random.next() * weights
    for (const { id, weight } of servers) {
      draw -= weight
      if (draw <= 0) return this.#nodes.get(id) ?? null
    }
    return null
  }

  #send(node: NodeProcess, request: BuyRequest, respond: (reply: BuyReply) => void): void {
    const kernel = this.#kernel
    const open: OpenRequest = {
      node,
      life: node.host.life,
      request,
      sentMs: kernel.nowMs,
      respond,
      close: null,
    }
    kernel.schedule(node.host, HOP_MS * kernel.random.next(), 'buy', () => {
      open.close = node.buy(request, (reply) =>
        kernel.schedule(null, HOP_MS * kernel.random.next(), 'answer', () => {
          answer(open, reply)
          open.close = null
        }),
      )
    })
    this.#open.push(open)
    if (!this.#isWatching) this.#watch()
  }

  /** All wait equally long, so the oldest is due first. */
  #watch(): void {
    while (this.#open[this.#oldest]?.respond === null) this.#oldest += 1
    const oldest = this.#open[this.#oldest]
    this.#isWatching = oldest !== undefined
    if (oldest === undefined) return
    const dueMs = oldest.sentMs + this.#readTimeoutMs
    this.#kernel.schedule(null, dueMs - this.#kernel.nowMs, 'time-out', () => {
      this.#giveUp(oldest)
      this.#watch()
    })
  }

  #giveUp(open: OpenRequest): void {
    const { node, life, request, sentMs } = open
    const { host } = node
    if (open.respond === null) return
    if (host.life === life && host.pausedAtMs < sentMs && !host.isPaused) {
      this.unanswered.push(`${request.buyer} (${request.key}) at ${host.id}, sent at ${sentMs.toFixed(1)} ms`)
    }
    answer(open, UNKNOWN)
    // The node reads the request first and only then that its sender has gone.
    if (host.life === life) this.#kernel.schedule(host, 0, 'close', () => open.close?.())
  }

  /** A connection to a process that died is reset. */
  #onCrash(node: NodeProcess): void {
    for (let place = this.#oldest; place < this.#open.length; place += 1) {
      const open = this.#open[place] as OpenRequest
      if (open.node !== node || open.respond === null) continue
      this.#kernel.schedule(null, HOP_MS * this.#kernel.random.next(), 'reset', () => answer(open, UNKNOWN))
    }
  }
}

interface OpenRequest {
  readonly node: NodeProcess
  readonly life: number
  readonly request: BuyRequest
  readonly sentMs: number
  /** Null once it was answered, as is `close` when the node did: what hangs on them lives no longer than the request. */
  respond: ((reply: BuyReply) => void) | null
  close: (() => void) | null
}

function answer(open: OpenRequest, reply: BuyReply): void {
  const { respond } = open
  if (respond === null) return
  open.respond = null
  respond(reply)
}
