/**
 * Whether the nodes have heard of a change: an operator who paused a sale wants to know that it is paused
 * everywhere. A node has heard when the seq it reports is not lower than the change's.
 */
import { compareVersions, type Version } from '../../stock/core/words.ts'
import type { World } from './world.ts'

const HEARD_WITHIN_MS = 2000
const LOOK_EVERY_MS = 50

/** Waits until every live node has heard, or is dead, at most 2 s; returns the live nodes that have not. */
export async function whoHasNotHeard(world: World, saleId: string, version: Version): Promise<string[]> {
  const deadline = world.monotonicMs() + HEARD_WITHIN_MS
  for (;;) {
    const missing = await missingNow(world, saleId, version)
    if (missing.length === 0 || world.monotonicMs() >= deadline) return missing
    await world.wait(LOOK_EVERY_MS)
  }
}

/** A node that is live in the fleet but not yet in the sale has not heard of it either. */
async function missingNow(world: World, saleId: string, version: Version): Promise<string[]> {
  const [fleet, sale] = await Promise.all([world.port.fleet.read(), world.port.sales.read(saleId, world.rules)])
  return fleet.nodes
    .filter(({ state, lastSeenMs }) => state === 'live' && fleet.nowMs - lastSeenMs <= world.rules.deadAfterMs)
    .filter(({ id }) => {
      const member = sale?.nodes.find((node) => node.id === id)
      if (sale === null || member === undefined) return true
      return compareVersions({ era: sale.version.era, seq: member.seenSeq }, version) < 0
    })
    .map(({ id }) => id)
}
