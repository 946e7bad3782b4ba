/**
 * What an all-seeing witness saw of the stores: how much was left when, which orders came into being and went, and
 * whether the books were right after every single command. No process of the cluster has this knowledge.
 */
import { conservationFault, type SaleRecord } from '../stock/core/sale-record.ts'
import type { Order } from '../stock/core/words.ts'
import type { Caller, ConfirmItem, ConfirmReply, FleetStore, SettleItem, SettleReply, Stopped } from '../stock/port.ts'
import type { Kernel } from './kernel.ts'
import { SALE_ID } from './scenario.ts'
import type { StoreCluster } from './store-cluster.ts'
import type { StoreRoom, StoreServer } from './store-server.ts'

type LeadReply = Awaited<ReturnType<FleetStore['lead']>>

/** A time during which a store's counters of a fare stood still. */
export interface Span {
  readonly server: string
  readonly fareId: string
  readonly fromMs: number
  toMs: number
  readonly remaining: number
  readonly held: number
}

export interface DoorSpan {
  readonly server: string
  readonly fromMs: number
  toMs: number
  readonly state: SaleRecord['state']
}

export interface Creation {
  readonly orderId: string
  readonly buyer: string
  readonly fareId: string
  readonly quantity: number
  readonly atMs: number
  readonly deadlineMs: number
  /** By the store's clock. */
  readonly storeMs: number
  readonly nodeId: string
  /** What the store itself knew: the sale's state as last set, and whether it was certified for its present life. */
  readonly state: SaleRecord['state']
  readonly isCertified: boolean
}

export interface Release {
  readonly orderId: string
  readonly atMs: number
  readonly state: 'paid' | 'released'
  /** The ledger had committed this very fate by then. */
  readonly wasDecided: boolean
}

/** An order that a union put into a store. */
export interface Reassertion {
  readonly orderId: string
  readonly atMs: number
}

/** What the ledger says of an order at this moment; undefined when it has no row. */
export type FateOf = (orderId: string) => Order['state'] | undefined

export class Witness {
  readonly spans: Span[] = []
  readonly doors: DoorSpan[] = []
  readonly creations: Creation[] = []
  readonly settled: Release[] = []
  readonly reasserted: Reassertion[] = []
  /** When a sale was opened under a new era: found to have all that the ledger has, or put together with it. */
  readonly openedMs: number[] = []
  /** The first command after which a law about stock was broken. */
  lawFault: string | null = null
  /** A call that was carried out although its caller belonged to an older era or membership. */
  fenceFault: string | null = null
  /** Two coordinators that had one lease. */
  leaseFault: string | null = null
  readonly #kernel: Kernel
  readonly #cluster: StoreCluster
  readonly #fateOf: FateOf
  readonly #open = new Map<string, Span>()
  readonly #leases = new Map<string, string>()
  readonly #openDoors = new Map<string, DoorSpan>()

  constructor(kernel: Kernel, cluster: StoreCluster, fateOf: FateOf) {
    this.#kernel = kernel
    this.#fateOf = fateOf
    this.#cluster = cluster
    cluster.onExecuted = (server, room, verb, args, reply) => this.#onExecuted(server, room, verb, args, reply)
    cluster.onReplaced = () => this.#look(cluster.primary)
  }

  #onExecuted(server: StoreServer, room: StoreRoom, verb: string, args: readonly unknown[], reply: unknown): void {
    if (verb === 'lead') this.#onLead(server, args[0] as { readonly id: string }, reply as LeadReply)
    if (room !== 'sales') return
    const { outcome, version } = reply as { readonly outcome?: string; readonly version?: { readonly seq: number } }
    this.#kernel.note(`${server.id} ${verb} ${outcome ?? ''}`, version?.seq ?? 0)
    if (verb === 'confirm' || verb === 'heartbeat') this.#lookAtFences(server, verb, args[1] as Caller, outcome)
    if (verb === 'confirm')
      this.#onConfirm(server, args[1] as Caller, args[2] as readonly ConfirmItem[], reply as ConfirmReply | Stopped)
    if (verb === 'reassert' && outcome === 'reasserted') this.#onReassert(args[2] as readonly Order[])
    if ((verb === 'certify' || verb === 'openUnion') && outcome === 'certified') this.openedMs.push(this.#kernel.nowMs)
    if (verb === 'openUnion' && outcome === 'certified') this.#recount(server)
    if (verb === 'settle') this.#onSettle(args[1] as readonly SettleItem[], reply as SettleReply | Stopped)
    this.#look(server)
  }

  #lookAtFences(server: StoreServer, verb: string, { nodeId, epoch, seen }: Caller, outcome?: string): void {
    const record = server.stock.saleRecords.get(SALE_ID)
    if ((outcome !== 'judged' && outcome !== 'alive') || record === undefined) return
    const present = record.nodes.get(nodeId)?.epoch
    if (seen.era === record.era && epoch === present) return
    const caller = `${nodeId} of era ${seen.era} and epoch ${epoch}`
    this.fenceFault ??= `${verb} of ${caller} was carried out in era ${record.era}, epoch ${present}`
  }

  #onConfirm(
    server: StoreServer,
    { nodeId }: Caller,
    items: readonly ConfirmItem[],
    reply: ConfirmReply | Stopped,
  ): void {
    if (reply.outcome !== 'judged') return
    const atMs = this.#kernel.nowMs
    const storeMs = this.#cluster.nowMs(server)
    const record = server.stock.saleRecords.get(SALE_ID)
    const state = record?.state ?? 'draft'
    const isCertified = record?.certificate === server.fingerprint
    for (const [index, { orderId, buyer, fareId, quantity, deadlineMs }] of items.entries()) {
      if (reply.verdicts[index]?.status !== 'held') continue
      this.creations.push({ orderId, buyer, fareId, quantity, atMs, deadlineMs, storeMs, nodeId, state, isCertified })
    }
  }

  #onReassert(orders: readonly Order[]): void {
    const atMs = this.#kernel.nowMs
    this.reasserted.push(...orders.map(({ id }) => ({ orderId: id, atMs })))
  }

  /** What a union opens with is what its orders come to. */
  #recount(server: StoreServer): void {
    const record = server.stock.saleRecords.get(SALE_ID)
    for (const [fareId, { held, paid }] of record?.fares ?? []) {
      const counted = { held: 0, paid: 0, released: 0 }
      for (const order of record?.orders.values() ?? []) {
        if (order.fareId === fareId) counted[order.state] += order.quantity
      }
      if (counted.held === held && counted.paid === paid) continue
      const fault = `fare ${fareId} was opened with ${held} held and ${paid} paid of ${counted.held} and ${counted.paid}`
      this.lawFault ??= `at ${this.#kernel.nowMs.toFixed(1)} ms on ${server.id}: ${fault}`
    }
  }

  #onLead(server: StoreServer, { id }: { readonly id: string }, reply: LeadReply): void {
    if (reply.outcome !== 'leading') return
    const lease = `${server.id} ${server.fingerprint} lease ${reply.lease}`
    const holder = this.#leases.get(lease) ?? id
    this.#leases.set(lease, holder)
    if (holder !== id) this.leaseFault ??= `${lease} was given to ${holder} and to ${id}`
  }

  #onSettle(items: readonly SettleItem[], reply: SettleReply | Stopped): void {
    if (reply.outcome !== 'settled') return
    for (const [index, { orderId, fate }] of items.entries()) {
      if (reply.results[index] === 'settled') {
        const wasDecided = this.#fateOf(orderId) === fate.state
        this.settled.push({ orderId, atMs: this.#kernel.nowMs, state: fate.state, wasDecided })
      }
    }
  }

  #look(server: StoreServer): void {
    const record = server.stock.saleRecords.get(SALE_ID)
    if (record === undefined) return
    for (const [fareId, fare] of record.fares) {
      const place = `${server.id} ${fareId}`
      const open = this.#open.get(place)
      if (open !== undefined && open.remaining === fare.remaining && open.held === fare.held) {
        open.toMs = Number.POSITIVE_INFINITY
        continue
      }
      if (open !== undefined) open.toMs = this.#kernel.nowMs
      const fault = conservationFault(fareId, fare)
      if (fault !== null) this.lawFault ??= `at ${this.#kernel.nowMs.toFixed(1)} ms on ${server.id}: ${fault}`
      const span = {
        server: server.id,
        fareId,
        fromMs: this.#kernel.nowMs,
        toMs: Number.POSITIVE_INFINITY,
        remaining: fare.remaining,
        held: fare.held,
      }
      this.#open.set(place, span)
      this.spans.push(span)
    }
    this.#lookAtDoor(server.id, record.state)
  }

  #lookAtDoor(server: string, state: SaleRecord['state']): void {
    const open = this.#openDoors.get(server)
    if (open?.state === state) return
    if (open !== undefined) open.toMs = this.#kernel.nowMs
    const door = { server, fromMs: this.#kernel.nowMs, toMs: Number.POSITIVE_INFINITY, state }
    this.#openDoors.set(server, door)
    this.doors.push(door)
  }
}
