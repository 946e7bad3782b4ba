/** Leaving without losing a request: out of nginx, until nothing arrives; finish what is in flight; leave. */
import type { HttpServer } from '../http/server.ts'
import type { Logger } from '../runtime/logger.ts'
import type { SellingNode } from './selling-node.ts'

/** Longest wait for nginx to look away. */
const LOOK_AWAY_TIMEOUT_MS = 3000
/** No request for so long means that nginx has looked away. */
const QUIET_MS = 300
/** Longest wait for the last answers. */
const FINISH_TIMEOUT_MS = 4000
const LOOK_EVERY_MS = 25

export async function drain(node: SellingNode, server: HttpServer, logger: Logger): Promise<void> {
  await announce(node, 'draining', logger)
  let requests = server.counters.requests
  let quietSinceMs = performance.now()
  await until(LOOK_AWAY_TIMEOUT_MS, () => {
    if (server.counters.requests !== requests) {
      requests = server.counters.requests
      quietSinceMs = performance.now()
    }
    return performance.now() - quietSinceMs >= QUIET_MS
  })
  await until(FINISH_TIMEOUT_MS, () => node.isIdle)
  await announce(node, 'drained', logger)
}

async function announce(node: SellingNode, state: 'draining' | 'drained', logger: Logger): Promise<void> {
  try {
    await node.member?.announce(state)
  } catch (error) {
    // Without a store nobody can be told; the coordinator will find this node silent.
    logger.warn({ err: error, state }, 'the fleet could not be told')
  }
}

async function until(timeoutMs: number, isDone: () => boolean): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!isDone() && performance.now() < endMs) {
    await new Promise((resolve) => {
      setTimeout(resolve, LOOK_EVERY_MS)
    })
  }
}
