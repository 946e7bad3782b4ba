/**
 * nginx as simulated: spreads buyers over the nodes of the newest topology by weight. A connection that is refused
 * goes to the next node; a request that was sent is never sent again, whatever becomes of it.
 */
import type { Topology } from '../coordinator/plan/topology.ts'
import { compareVersions } from '../stock/core/words.ts'
import type { Kernel } from './kernel.ts'
import type { BuyReply, BuyRequest, NodeProcess } from './node-process.ts'

const TRIES_MAX = 4
const HOP_MS = 0.3
/** nginx waits for an answer a little longer than a node may take. */
const ANSWER_MARGIN_MS = 1000

const UNKNOWN: BuyReply = { status: 503, code: 'outcome_unknown', orderId: null }

export class Edge {
  /** Requests that a node did not answer which ran all the while. */
  readonly unanswered: string[] = []
  #topology: Topology
  readonly #nodes: ReadonlyMap<string, NodeProcess>
  readonly #kernel: Kernel
  readonly #readTimeoutMs: number

  constructor(kernel: Kernel, nodes: readonly NodeProcess[], buyDeadlineMs: number) {
    this.#kernel = kernel
    this.#nodes = new Map(nodes.map((node) => [node.host.id, node]))
    this.#readTimeoutMs = buyDeadlineMs + ANSWER_MARGIN_MS
    const servers = nodes.map(({ host }) => ({ id: host.id, url: '', weight: 1 }))
    this.#topology = { version: { era: 0, seq: 0 }, servers, orders: [] }
  }

  /** Refuses one that is older than the one in force, and keeps the last when nobody is live. */
  apply(topology: Topology): boolean {
    if (compareVersions(topology.version, this.#topology.version) < 0) return false
    const { servers } = topology.servers.length > 0 ? topology : this.#topology
    this.#topology = { ...topology, servers }
    return true
  }

  sendsTo(nodeId: string): boolean {
    return this.#topology.servers.some(({ id }) => id === nodeId)
  }

  buy(request: BuyRequest, respond: (reply: BuyReply) => void): void {
    this.#try(request, respond, new Set())
  }

  /** Straight to one node, as a tool on its own port may. */
  buyAt(nodeId: string, request: BuyRequest, respond: (reply: BuyReply) => void): void {
    const node = this.#nodes.get(nodeId)
    if (node?.host.isUp === true) this.#send(node, request, respond)
    else this.#kernel.schedule(null, HOP_MS, 'refused', () => respond(UNKNOWN))
  }

  #try(request: BuyRequest, respond: (reply: BuyReply) => void, tried: Set<string>): void {
    const node = tried.size < TRIES_MAX ? this.#choose(tried) : null
    if (node === null) {
      this.#kernel.schedule(null, HOP_MS, 'refused', () => respond(UNKNOWN))
      return
    }
    tried.add(node.host.id)
    if (node.host.isUp) this.#send(node, request, respond)
    else this.#kernel.schedule(null, HOP_MS, 'next', () => this.#try(request, respond, tried))
  }

  #choose(tried: ReadonlySet<string>): NodeProcess | null {
    const servers = this.#topology.servers.filter(({ id }) => !tried.has(id))
    let draw = this.#kernel.random.next() * servers.reduce((sum, { weight }) => sum + weight, 0)
    for (const { id, weight } of servers) {
      draw -= weight
      if (draw <= 0) return this.#nodes.get(id) ?? null
    }
    return null
  }

  #send(node: NodeProcess, request: BuyRequest, respond: (reply: BuyReply) => void): void {
    const kernel = this.#kernel
    const { life } = node.host
    const sentMs = kernel.nowMs
    let isAnswered = false
    const answer = (reply: BuyReply): void => {
      if (isAnswered) return
      isAnswered = true
      respond(reply)
    }
    let close: (() => void) | null = null
    kernel.schedule(node.host, HOP_MS * kernel.random.next(), 'buy', () => {
      close = node.buy(request, (reply) =>
        kernel.schedule(null, HOP_MS * kernel.random.next(), 'answer', () => answer(reply)),
      )
    })
    // A connection to a process that died is reset; one to a process that hangs times out.
    const look = (leftMs: number): void => {
      if (isAnswered) return
      if (leftMs <= 0 && node.host.pausedAtMs < sentMs && !node.host.isPaused && node.host.life === life) {
        this.unanswered.push(`${request.buyer} (${request.key}) at ${node.host.id}, sent at ${sentMs.toFixed(1)} ms`)
      }
      if (node.host.life !== life || leftMs <= 0) {
        answer(UNKNOWN)
        // The node reads the request first and only then that its sender has gone.
        if (node.host.life === life) kernel.schedule(node.host, 0, 'close', () => close?.())
      } else kernel.schedule(null, LOOK_MS, 'look', () => look(leftMs - LOOK_MS))
    }
    kernel.schedule(null, LOOK_MS, 'look', () => look(this.#readTimeoutMs))
  }
}

/** How soon a reset is noticed, at the latest. */
const LOOK_MS = 250
