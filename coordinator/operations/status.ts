/** `status`: what runs and its health, and what is missing where something does not sell. */
import { OperationError } from '../../runtime/operation-error.ts'
import { conservationFault } from '../../stock/core/sale-record.ts'
import type { World } from './world.ts'
import { nodesView, saleView, timeOf, type NodesView } from './views.ts'

export interface StatusView {
  readonly at: string
  /** Null while no coordinator leads. */
  readonly leader: { readonly id: string; readonly adminUrl: string } | null
  readonly redis: {
    readonly answers: boolean
    readonly durable: boolean | null
    readonly faults: readonly string[]
  }
  readonly nodes: NodesView['items']
  readonly orders: readonly { readonly id: string; readonly url: string; readonly lastSeenAt: string }[]
  readonly sales: readonly {
    readonly id: string
    readonly state: string
    readonly recovering: boolean
    readonly version: { readonly era: number; readonly seq: number } | null
    /** Fares whose counters break the law of conservation. */
    readonly unlawful: readonly string[]
    /** Why it stays recovering, and what an operator can do. */
    readonly missing: readonly string[]
    /** For how long it has not sold; null when it does, or nobody has looked. */
    readonly recoveringForMs: number | null
    /** How it last came to sell again; null when it never had to. */
    readonly recovered: LastRecovery | null
    /** Orders that buyers were told of and nobody has any more; null for none. */
    readonly lost: LostOrders | null
  }[]
  readonly problems: readonly string[]
  readonly ok: boolean
}

export interface KnownCase {
  readonly saleId: string
  readonly reasons: readonly string[]
  readonly forMs: number
}

/** What a store lost that is none any more, as far as the nodes that told of it remember. */
export interface LostOrders {
  readonly saleId: string
  readonly orders: number
  readonly tickets: number
  readonly nodes: readonly string[]
  /** The first of them. */
  readonly orderIds: readonly string[]
}

/** As an orders process saw it. */
export interface LastRecovery {
  readonly saleId: string
  /**
   * `whole`: nothing was lost. `union`: put together again. `operator`: the same, by decision. `recount`: it sold more
   * than the ledger has room for, and its counters were set to what its orders come to.
   */
  readonly how: 'whole' | 'union' | 'operator' | 'recount'
  readonly forMs: number
  /** Orders that the store had lost; of them, those that only nodes still knew. */
  readonly reasserted: number
  readonly fromJournals: number
  /** Orders that did not fit the stock, and were released. */
  readonly conflicts: number
  /** Why acknowledged orders may be missing. */
  readonly unaccounted: readonly string[]
  /** Tickets held and paid before and after. */
  readonly fares: readonly { readonly fareId: string; readonly before: number | null; readonly now: number }[]
}

export async function status(world: World, known: { readonly declaredDurable: boolean }): Promise<StatusView> {
  const [fleet, durability, ledger] = await Promise.all([
    world.port.fleet.read(),
    world.port.durability(),
    askOrders(world),
  ])
  const saleIds = [...new Set([...fleet.saleIds, ...ledger.saleIds])].toSorted()
  const sales = await Promise.all(saleIds.map((saleId) => saleStatus(world, saleId, ledger)))
  const { leader } = fleet
  const problems = [
    ...(leader === null ? ['no coordinator leads: deaths are not declared and nginx is not told'] : []),
    ...(ledger.fault === null ? [] : [ledger.fault]),
    ...fleet.nodes.filter(({ state }) => state === 'dead').map(({ id }) => `node ${id} is dead`),
    ...(durability.durable === false ? [`Redis is not durable: ${durability.faults.join(', ')}`] : []),
    ...(durability.durable === null && !known.declaredDurable
      ? ['Redis forbids asking whether it is durable: say redis.durable: true if it is']
      : []),
    ...(durability.durable === null && known.declaredDurable
      ? ['Redis is durable only by declaration (redis.durable: true): it forbids asking']
      : []),
    ...sales.filter(({ recovering }) => recovering).map(({ id }) => `sale ${id} is recovering`),
    ...sales.flatMap(({ id, unlawful }) =>
      unlawful.map((fault) => `sale ${id}: ${fault} do not add up; "farebox audit ${id}" names what is wrong`),
    ),
    ...sales.flatMap(({ lost }) => (lost === null ? [] : [lossText(lost)])),
    ...ledger.overruns.map(
      (id) =>
        `sale ${id} was paused: it sold more than the ledger has room for, again soon after it was counted anew; ` +
        `"farebox audit ${id}" names what is wrong, and "farebox sale open ${id}" goes on`,
    ),
  ]
  return {
    at: timeOf(fleet.nowMs),
    leader: leader === null ? null : { id: leader.id, adminUrl: leader.adminUrl },
    redis: { answers: true, durable: durability.durable, faults: durability.faults },
    nodes: nodesView(fleet, world.rules).items,
    orders: fleet.orders.map(({ id, url, lastSeenMs }) => ({ id, url, lastSeenAt: timeOf(lastSeenMs) })),
    sales,
    problems,
    ok: problems.length === 0,
  }
}

function lossText({ saleId, orders, tickets, nodes }: LostOrders): string {
  return (
    `sale ${saleId} lost ${orders} orders (${tickets} tickets) of which ${nodes.join(', ')} told buyers; ` +
    `"farebox audit ${saleId}" names them`
  )
}

interface LedgerStatus {
  readonly cases: readonly KnownCase[]
  readonly recovered: readonly LastRecovery[]
  readonly losses: readonly LostOrders[]
  /** Sales that an orders process paused. */
  readonly overruns: readonly string[]
  readonly saleIds: readonly string[]
  readonly fault: string | null
}

/** Which sales there must be, and why one stays closed: orders processes recover, and know. */
async function askOrders(world: World): Promise<LedgerStatus> {
  try {
    return { fault: null, ...(await world.orders.call<Omit<LedgerStatus, 'fault'>>('GET', '/admin/recovery')) }
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    return { cases: [], recovered: [], losses: [], overruns: [], saleIds: [], fault: error.message }
  }
}

async function saleStatus(world: World, saleId: string, ledger: LedgerStatus): Promise<StatusView['sales'][number]> {
  const snapshot = await world.port.sales.read(saleId, world.rules)
  const known = ledger.cases.find((candidate) => candidate.saleId === saleId)
  const recovered = ledger.recovered.findLast((candidate) => candidate.saleId === saleId) ?? null
  const lost = ledger.losses.find((candidate) => candidate.saleId === saleId) ?? null
  const recovery = { recoveringForMs: known?.forMs ?? null, recovered, lost }
  if (snapshot === null) {
    const missing = known?.reasons ?? ['the store has no record of this sale']
    return { id: saleId, state: 'unknown', recovering: true, version: null, missing, unlawful: [], ...recovery }
  }
  const { id, state, recovering, version } = saleView(snapshot)
  const broken = recovering || known !== undefined
  const unlooked = broken && known === undefined ? ['no orders process has looked at it yet'] : []
  // While it is put together again they need not add up.
  const unlawful = (broken ? [] : snapshot.fares).flatMap((fare) => conservationFault(fare.fareId, fare) ?? [])
  return { id, state, recovering: broken, version, missing: known?.reasons ?? unlooked, unlawful, ...recovery }
}
