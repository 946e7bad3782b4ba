/** Who may sell how much at the moment: the store's weights beside what each live node itself reckons. */
import type { Version } from '../../stock/core/words.ts'
import type { SaleNode, SaleSnapshot } from '../../stock/port.ts'
import type { SaleReport } from '../../http/node-report.ts'
import { readSale } from './sales.ts'
import type { World } from './world.ts'

export interface QuotaNode {
  readonly id: string
  readonly epoch: number
  readonly weight: number
  /** Null where the node does not answer. */
  readonly allowance: number | null
  readonly inFlight: number | null
  readonly available: number | null
  /** The part of the allowance above the fair share. */
  readonly buffer: number | null
  readonly confirmed: number | null
}

export interface QuotaView {
  readonly saleId: string
  readonly version: Version
  readonly fares: readonly { readonly id: string; readonly remaining: number; readonly nodes: readonly QuotaNode[] }[]
}

export async function quota(world: World, saleId: string): Promise<QuotaView> {
  const [snapshot, fleet] = await Promise.all([readSale(world, saleId), world.port.fleet.read()])
  const reports = new Map<string, SaleReport>()
  await Promise.all(
    snapshot.nodes
      .filter(({ live }) => live)
      .map(async ({ id }) => {
        const adminUrl = fleet.nodes.find((node) => node.id === id)?.adminUrl
        const report = adminUrl === undefined ? null : await world.askNode(adminUrl)
        const sale = report?.sales.find((candidate) => candidate.saleId === saleId)
        if (sale !== undefined) reports.set(id, sale)
      }),
  )
  return {
    saleId,
    version: snapshot.version,
    fares: snapshot.fares.map(({ fareId, remaining }) => ({
      id: fareId,
      remaining,
      nodes: snapshot.nodes.filter(isSeller).map((node) => quotaNode(snapshot, fareId, node, reports.get(node.id))),
    })),
  }
}

/** A name with a dot is no node's: an orders process that buys again for late money. */
function isSeller({ id }: SaleNode): boolean {
  return !id.includes('.')
}

function quotaNode(snapshot: SaleSnapshot, fareId: string, node: SaleNode, report: SaleReport | undefined): QuotaNode {
  const { id, epoch, weight, live } = node
  const fare = report?.fares.find((candidate) => candidate.fareId === fareId)
  if (fare === undefined) {
    // A dead node has nothing: its tickets were never its own.
    const none = live ? null : 0
    return { id, epoch, weight, allowance: none, inFlight: none, available: none, buffer: none, confirmed: null }
  }
  const { allowance, inFlight, available, confirmed } = fare
  const share = snapshot.liveWeight > 0 ? Math.ceil((weight * fare.remaining) / snapshot.liveWeight) : 0
  return { id, epoch, weight, allowance, inFlight, available, buffer: Math.max(0, allowance - share), confirmed }
}
