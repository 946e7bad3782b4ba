/** What changed in the fleet between two looks, in words for the operator. */
import type { ObservedNode } from './liveness.ts'

export interface FleetNews {
  readonly nodeId: string
  readonly text: string
}

export function fleetNews(before: readonly ObservedNode[], now: readonly ObservedNode[]): FleetNews[] {
  return now.flatMap((node) => {
    const { id: nodeId } = node
    const was = before.find(({ id }) => id === nodeId)
    if (was === undefined) return [{ nodeId, text: `node ${nodeId} is new in the fleet, ${node.state}` }]
    const news: FleetNews[] = []
    if (was.state !== node.state) news.push({ nodeId, text: `node ${nodeId} was ${was.state}, is ${node.state}` })
    else if (was.epoch !== node.epoch) news.push({ nodeId, text: `node ${nodeId} joined anew` })
    if (was.weight !== node.weight) {
      news.push({ nodeId, text: `node ${nodeId} weighed ${was.weight}, weighs ${node.weight}` })
    }
    return news
  })
}
