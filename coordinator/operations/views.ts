/** How sales, nodes and orders look in JSON: the shapes of the design, times in RFC 3339. */
import type { Order, QuotaRules, Version } from '../../stock/core/words.ts'
import type { FleetSnapshot, SaleSnapshot } from '../../stock/port.ts'

export function timeOf(ms: number): string
export function timeOf(ms: number | null): string | null
export function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

export interface SaleView {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly recovering: boolean
  readonly opensAt: string | null
  readonly closesAt: string | null
  readonly serverTime: string
  readonly limitPerBuyer: number
  readonly holdSeconds: number
  readonly version: Version
  readonly fares: readonly {
    readonly id: string
    readonly name: string
    readonly price: { readonly amount: number; readonly currency: string }
    readonly stock: number
    readonly remaining: number
    readonly held: number
    readonly paid: number
  }[]
}

/** The order-id secret never leaves. */
export function saleView(snapshot: SaleSnapshot): SaleView {
  const { definition } = snapshot
  return {
    id: definition.id,
    name: definition.name,
    state: snapshot.state,
    recovering: !snapshot.certified,
    opensAt: timeOf(definition.opensAtMs),
    closesAt: timeOf(definition.closesAtMs),
    serverTime: timeOf(snapshot.nowMs),
    limitPerBuyer: definition.limitPerBuyer,
    holdSeconds: definition.holdMs / 1000,
    version: snapshot.version,
    fares: definition.fares.map(({ id, name, price, stock }) => {
      const counters = snapshot.fares.find(({ fareId }) => fareId === id)
      return {
        id,
        name,
        price,
        stock: counters?.stock ?? stock,
        remaining: counters?.remaining ?? 0,
        held: counters?.held ?? 0,
        paid: counters?.paid ?? 0,
      }
    }),
  }
}

export interface NodesView {
  /** By the store's clock, as all times here. */
  readonly at: string
  /** No coordinator leads: nobody declares deaths, so the states are as they were when one last did. */
  readonly isStale: boolean
  /** Of the fleet's record: what a change may expect. */
  readonly version: Version
  /** The version up to which nginx does what the record says. */
  readonly appliedVersion: Version
  readonly items: readonly {
    readonly id: string
    readonly epoch: number
    readonly state: string
    readonly weight: number
    readonly url: string
    readonly lastSeenAt: string
    /** The store has heard of it within `deadAfterMs`. */
    readonly isHeard: boolean
    /** How long ago the store last heard of it. */
    readonly silentMs: number
  }[]
}

export function nodesView(fleet: FleetSnapshot, { deadAfterMs }: Pick<QuotaRules, 'deadAfterMs'>): NodesView {
  return {
    at: timeOf(fleet.nowMs),
    isStale: fleet.leader === null,
    version: fleet.version,
    appliedVersion: fleet.applied,
    items: fleet.nodes.map(({ id, epoch, state, weight, url, lastSeenMs }) => ({
      id,
      epoch,
      state,
      weight,
      url,
      lastSeenAt: timeOf(lastSeenMs),
      isHeard: fleet.nowMs - lastSeenMs <= deadAfterMs,
      silentMs: Math.max(0, fleet.nowMs - lastSeenMs),
    })),
  }
}

/** An order for the support desk: with its buyer, which the public answer leaves out. */
export function orderView(snapshot: SaleSnapshot, order: Order) {
  const fare = snapshot.definition.fares.find(({ id }) => id === order.fareId)
  const unitPrice = fare?.price ?? null
  return {
    id: order.id,
    saleId: snapshot.definition.id,
    fareId: order.fareId,
    buyer: order.buyer,
    quantity: order.quantity,
    state: order.state,
    reason: order.reason,
    createdAt: timeOf(order.createdAtMs),
    holdExpiresAt: timeOf(order.createdAtMs + snapshot.definition.holdMs),
    paidAt: timeOf(order.paidAtMs),
    releasedAt: timeOf(order.releasedAtMs),
    unitPrice,
    total: unitPrice === null ? null : { amount: unitPrice.amount * order.quantity, currency: unitPrice.currency },
    serverTime: timeOf(snapshot.nowMs),
  }
}
export type OrderView = ReturnType<typeof orderView>
