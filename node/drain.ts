/**
 * Leaving the traffic without losing a request: out of nginx, serve until nothing has arrived for a moment, weight out
 * of the shares, finish what is in flight, and say so.
 *
 * That nothing arrives is no proof that nginx has looked away: at a quiet hour nothing arrives either, and the next
 * request would meet a closed door. So a node first reads in the fleet's record that the load balancer does what the
 * record of its draining says. Only where nobody leads, who could note that, must the silence do.
 */
import type { HttpServer } from '../http/server.ts'
import type { Logger } from '../runtime/logger.ts'
import { compareVersions, type Version } from '../stock/core/words.ts'
import type { FleetSnapshot } from '../stock/port.ts'
import type { SellingNode } from './selling-node.ts'

/** Longest wait of a process that must end for nginx to look away. */
const LOOK_AWAY_TIMEOUT_MS = 5000
/** Longest wait of a process that must end for its last answers. */
const FINISH_TIMEOUT_MS = 3000
/** How long nothing must have arrived. */
const QUIET_MS = 300
/** Without a leader for so long, nobody will note what the load balancer does. */
const LEADERLESS_MS = 1000
const LOOK_EVERY_MS = 25
const READ_EVERY_MS = 100

interface Patience {
  readonly lookAwayMs: number
  readonly finishMs: number
  /** False once the operator wants the node back. */
  readonly isWanted: () => boolean
}

/** The process ends: goes on after its patience, whatever is left. */
export async function drainToEnd(node: SellingNode, server: HttpServer, logger: Logger): Promise<void> {
  if (node.member?.state !== 'drained') await announce(node, 'draining', logger)
  const patience = { lookAwayMs: LOOK_AWAY_TIMEOUT_MS, finishMs: FINISH_TIMEOUT_MS, isWanted: () => true }
  await leaveTraffic(node, server, patience)
  await announce(node, 'drained', logger)
}

/** The operator wants the node out of the traffic: takes as long as it takes, and stays ready to come back. */
export async function drainOnDemand(node: SellingNode, server: HttpServer, logger: Logger): Promise<void> {
  const isWanted = (): boolean => node.member?.state === 'draining'
  await leaveTraffic(node, server, { lookAwayMs: Infinity, finishMs: Infinity, isWanted })
  while (isWanted()) {
    try {
      if (await node.member?.settleDrained()) break
    } catch (error) {
      logger.warn({ err: error }, 'the fleet could not be told of being drained')
    }
    await pause(READ_EVERY_MS)
  }
}

async function leaveTraffic(node: SellingNode, server: HttpServer, patience: Patience): Promise<void> {
  const watch = new LookAway(node)
  let requests = server.counters.requests
  let quietSinceMs = performance.now()
  await until(patience.lookAwayMs, async () => {
    if (server.counters.requests !== requests) {
      requests = server.counters.requests
      quietSinceMs = performance.now()
    }
    if (!patience.isWanted()) return true
    return (await watch.isDone()) && performance.now() - quietSinceMs >= QUIET_MS
  })
  if (!patience.isWanted()) return
  node.stopSharing()
  await until(patience.finishMs, () => node.isIdle || !patience.isWanted())
}

/** Whether the load balancer knows that this node takes no more requests. */
class LookAway {
  readonly #node: SellingNode
  #isDone = false
  #readAtMs = Number.NEGATIVE_INFINITY
  #since: Version | null = null
  #ledAtMs = performance.now()

  constructor(node: SellingNode) {
    this.#node = node
  }

  async isDone(): Promise<boolean> {
    const nowMs = performance.now()
    if (this.#isDone || nowMs - this.#readAtMs < READ_EVERY_MS) return this.#isDone
    this.#readAtMs = nowMs
    const fleet = await this.#node.readFleet()
    if (fleet !== null) this.#isDone = this.#hear(fleet, nowMs)
    return this.#isDone
  }

  #hear(fleet: FleetSnapshot, nowMs: number): boolean {
    const self = fleet.nodes.find(({ id }) => id === this.#node.member?.id)
    if (self !== undefined && self.state !== 'live') this.#since ??= fleet.version
    if (fleet.leader !== null) this.#ledAtMs = nowMs
    if (nowMs - this.#ledAtMs >= LEADERLESS_MS) return true
    return this.#since !== null && compareVersions(fleet.applied, this.#since) >= 0
  }
}

async function announce(node: SellingNode, state: 'draining' | 'drained', logger: Logger): Promise<void> {
  try {
    await node.member?.announceEnd(state)
  } catch (error) {
    // Without a store nobody can be told; the coordinator will find this node silent.
    logger.warn({ err: error, state }, 'the fleet could not be told')
  }
}

async function until(timeoutMs: number, isDone: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!(await isDone()) && performance.now() < endMs) await pause(LOOK_EVERY_MS)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
