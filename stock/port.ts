/**
 * The stock port: every operation on the global store, in domain words.
 *
 * Two implementations answer alike, which `stock/conformance` proves: `stock/redis` (Lua scripts in Redis) and
 * `stock/memory` (the pure core in this process). Callers meet each other only through this port.
 *
 * Every method may reject with {@link StoreError}. Its `outcome` says whether the operation may have been carried
 * out: after `unknown` it may have been, may still be, or never will.
 */
import type {
  FareCounters,
  FareLevel,
  Order,
  QuotaRules,
  ReleaseReason,
  SaleDefinition,
  SaleState,
  Version,
} from './core/words.ts'
import type { ItemStatus } from './core/status.ts'
import type { UnitedSale } from './core/union.ts'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: 'unreachable' | 'timeout' | 'refused' | 'corrupt'
  /** `not_executed`: certainly had no effect. `unknown`: may have had its effect, or may have it later. */
  readonly outcome: 'not_executed' | 'unknown'

  constructor(code: StoreError['code'], outcome: StoreError['outcome'], message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.outcome = outcome
  }
}

/** Who calls, and the newest it has seen: a store behind its caller is not the store it was. */
export interface Caller {
  readonly nodeId: string
  readonly epoch: number
  /** The highest version this caller has seen of the sale. */
  readonly seen: Version
  /** The seq of this node's own last change within `seen.era`; 0 for none. */
  readonly lastWriteSeq: number
}

/** Why a call as a whole was not executed. */
export type Stopped =
  /** The store is not certified: another life, behind its caller, or without the sale. Nothing was judged. */
  | { readonly outcome: 'recovering' }
  /** The caller's era or epoch is old. Not executed now: join anew and send the same again. */
  | { readonly outcome: 'fenced'; readonly version: Version }

/** What every reply about an open-for-business store carries. */
export interface Reply {
  readonly version: Version
  /** The store's clock when it answered. */
  readonly nowMs: number
  readonly state: SaleState
}

export interface ConfirmItem {
  readonly orderId: string
  readonly buyer: string
  readonly fareId: string
  /** As asked; anything that is not a whole number is sent as 0 and judged `bad_quantity`. */
  readonly quantity: number
  /** By the store's clock; judged `too_late` after it. */
  readonly deadlineMs: number
}

export interface ConfirmVerdict {
  readonly status: ItemStatus
  /** With `held` and `replayed`: the order as it is now. */
  readonly order?: Order
  /** With `limit_reached`: tickets this buyer has in the sale already. */
  readonly buyerTickets?: number
}

/** A fare that can be bought again since `seq`, of which not every node has heard that may say "no" from memory. */
export interface Unheard {
  readonly fareId: string
  readonly seq: number
  /** After so long, counted from this reply, no node remembers what was before. */
  readonly forMs: number
}

export interface ConfirmReply extends Reply {
  readonly outcome: 'judged'
  /** One per item, in the order asked. */
  readonly verdicts: readonly ConfirmVerdict[]
  /** Every fare named by an item of the batch. */
  readonly fares: readonly FareLevel[]
  /** Orders of these fares that came into being after the seq are to be told only when it is heard, or after the time. */
  readonly unheard: readonly Unheard[]
}

/** A page of the sale's events: who got an order, and which orders met their fate. */
export interface WinnersPage {
  readonly buyers: readonly string[]
  /** One per buyer: the order that was made. */
  readonly orderIds: readonly string[]
  /** Orders that were settled, in order; one that was settled twice comes twice. */
  readonly settled: readonly string[]
  /** Where to go on from. */
  readonly cursor: Version
  /** True when this atomic read found nothing further. */
  readonly complete: boolean
  /** The cursor lies before the oldest event kept: read the whole set by {@link SaleStore.scanBuyers}. */
  readonly lost: boolean
}

export interface HeartbeatReply extends Reply {
  readonly outcome: 'alive'
  readonly opensAtMs: number | null
  readonly closesAtMs: number | null
  readonly weight: number
  /** Every fare whose level may have changed since `changedSince`. */
  readonly fares: readonly FareLevel[]
  readonly winners: WinnersPage
  /** Every other node that may answer from memory has heard of all changes up to this seq. */
  readonly heardSeq: number
  /** When anything last came to be bought again; who hears of it says so at once, as others may wait for that. */
  readonly reopenedSeq: number
}

export interface JoinReply extends Reply {
  readonly outcome: 'joined'
  readonly epoch: number
  readonly weight: number
  readonly opensAtMs: number | null
  readonly closesAtMs: number | null
  /** Every fare. */
  readonly fares: readonly FareLevel[]
}

export interface SaleNode {
  readonly id: string
  readonly epoch: number
  readonly weight: number
  readonly lastSeenMs: number
  /** Seq of its own last change. */
  readonly lastWriteSeq: number
  /** Tickets confirmed by it so far. */
  readonly confirmed: number
  /** The seq up to which it has heard. */
  readonly seenSeq: number
  /** The seq up to which it has said that it heard every fare; 0 until it says so after a join. */
  readonly heardSeq: number
  readonly live: boolean
}

export interface SaleSnapshot extends Reply {
  readonly definition: SaleDefinition
  /** False while the store is not certified for this sale. */
  readonly certified: boolean
  /** The most that a caller had seen where the store was behind it, since it was last certified; zero for none. */
  readonly sought: Version
  /**
   * It was begun to put the sale together again, and not ended: the era that it will open under, and when whoever does it
   * was last heard, by the store's clock.
   */
  readonly uniting: { readonly era: number; readonly heardMs: number } | null
  /** The era under which its counters were last made from its orders; 0 for never. */
  readonly unitedEra: number
  /** Tickets of all orders less the nodes' `confirmed`: what was put together again and is no node's any more. */
  readonly unattributed: number
  readonly fares: readonly FareCounters[]
  readonly nodes: readonly SaleNode[]
  /** Sum of the weights of live nodes, as the scripts reckon it. */
  readonly liveWeight: number
  /** seq of the last change of any weight, of the shares, or of the set of live nodes. */
  readonly weightsSeq: number
  /** The highest that was begun; 0 for none. */
  readonly turn: number
  /** The highest that had begun when a leader last stopped the sale by itself; null when none ever did. */
  readonly stoppedTurn: number | null
  /** Weights that an operator gave the nodes in this sale, in place of the fleet's; null for none. */
  readonly shares: Shares | null
}

export type Shares = Readonly<Record<string, number>>

export type StateChange = 'open' | 'pause' | 'close'

/** Who changes a sale; nobody in particular when both are absent. */
export interface ChangedBy {
  /**
   * That of a leader: lower than the highest that ever wrote here is refused, `stale_lease`. Pausing and closing ends the
   * acts that began before.
   */
  readonly lease?: number | undefined
  /**
   * That of an operator's act: any but the last one begun here, or one that was ended, or seen in another era, is refused,
   * `stale_turn`.
   */
  readonly turn?: number | undefined
}

export type ChangeReply =
  | (Reply & { readonly outcome: 'changed' | 'unchanged' })
  | { readonly outcome: 'refused'; readonly why: string; readonly version: Version }
  | Stopped

export interface ReplicasReply {
  readonly outcome: 'replicated' | 'lagging'
}

export interface SettleItem {
  readonly orderId: string
  readonly fate: { readonly state: 'paid' } | { readonly state: 'released'; readonly reason: ReleaseReason }
  readonly atMs: number
  /** What the ledger knows of the order, so that it can come back if the store has lost it. */
  readonly known?: KnownOrder
}

export type KnownOrder = Pick<Order, 'fareId' | 'quantity' | 'buyer' | 'createdAtMs'>

export interface SettleReply extends Reply {
  readonly outcome: 'settled'
  /**
   * One per item: `settled` now, `already` so, `conflict` (its fate is another and final), `unlawful` (the fare's
   * counters cannot take it: they were changed by hand), or `unknown_order` (not in the store, and it cannot come back:
   * too few tickets remain, or nothing is known of it).
   */
  readonly results: readonly ('settled' | 'already' | 'conflict' | 'unlawful' | 'unknown_order')[]
}

/** Orders that came into being after a version, and what the store says of itself, all at one instant. */
export interface EventsPage extends Reply {
  /** Whether the store that was read is the certified one, and not behind the version asked after. */
  readonly certified: boolean
  /** As they came into being: held. In the order in which they did. */
  readonly orders: readonly Order[]
  /** Version of the last event read, from which to go on; the one asked after when there was none. */
  readonly upTo: Version
  /** Nothing further at this instant. */
  readonly complete: boolean
  /** The version asked after lies before the oldest event kept: events are missing, so none was read. */
  readonly lost: boolean
}

export type TrimReply = (Reply & { readonly outcome: 'trimmed'; readonly events: number }) | Stopped

/** One sale in the global store. */
export interface SaleStore {
  /** Makes the sale. `exists` leaves the store untouched and returns what is there. */
  create(
    definition: SaleDefinition,
    era: number,
  ): Promise<{ outcome: 'created' | 'exists'; definition: SaleDefinition; version: Version }>
  /** All but the orders, at one instant. `null` when the store has no such sale. */
  read(saleId: string, rules: QuotaRules): Promise<SaleSnapshot | null>
  /**
   * An operator's act begins, under a number that the ledger gave it: from here on nothing is carried out of those with a
   * lower one. A number lower than the highest here is refused, `stale_turn`. Takes no seq.
   */
  beginTurn(saleId: string, turn: number, seen: Version): Promise<ChangeReply>
  change(saleId: string, change: StateChange, seen: Version, by?: ChangedBy): Promise<ChangeReply>
  /** Sets a fare's stock; refused below held + paid. */
  setStock(saleId: string, fareId: string, stock: number, seen: Version, by?: ChangedBy): Promise<ChangeReply>
  /**
   * Sets weights and fences nodes, all or nothing, by a holder of the leader's lease. `lease` is its fencing
   * number: lower than the highest that ever wrote here is refused. With `rule` the sale's shares are replaced in the
   * same step, if its weights are still those of `expected` (era and weightsSeq): else refused, `weights_changed`.
   */
  setWeights(
    saleId: string,
    lease: number,
    weights: Readonly<Record<string, number>>,
    fenceNodes: readonly { readonly id: string; readonly epoch: number }[],
    rules: QuotaRules,
    rule?: { readonly shares: Shares | null; readonly expected: Version },
  ): Promise<ChangeReply>
  /** A node enters the sale, or enters it anew: a higher epoch, which fences everything it sent before. */
  join(
    saleId: string,
    node: { readonly id: string; readonly weight: number },
    seen: Version,
    lastWriteSeq: number,
    rules: QuotaRules,
  ): Promise<JoinReply | Stopped>
  heartbeat(
    saleId: string,
    caller: Caller,
    options: {
      /** Levels unchanged since this seq are left out. */
      readonly changedSinceSeq: number
      readonly winnersAfter: Version
      /** Most events to read for winners. */
      readonly winnersLimit: number
      /** The weight this node wants: 0 while draining, or null for leaving it as it is. */
      readonly weight: number | null
    },
    rules: QuotaRules,
  ): Promise<HeartbeatReply | Stopped>
  confirm(
    saleId: string,
    caller: Caller,
    items: readonly ConfirmItem[],
    rules: QuotaRules,
  ): Promise<ConfirmReply | Stopped>
  /**
   * Waits until as many replicas as asked for have all that the store held when this was called, which must be at
   * least `seen`. Answers `lagging` when they have not after a while (less than the time-out of a command); ask again.
   * A store in another era than `seen` is `fenced`: what the caller knows was judged by a life that has ended.
   */
  awaitReplicas(saleId: string, seen: Version, replicas: number): Promise<ReplicasReply | Stopped>
  settle(saleId: string, items: readonly SettleItem[], seen: Version): Promise<SettleReply | Stopped>
  /**
   * Certifies the store for a sale under a new era, by compare-and-set on the version read (`lost_race` in another
   * era than that, and behind it): voids every epoch, allowance and lease of the old one. `floorSeq` is the highest
   * seq anybody is known to have seen.
   */
  certify(
    saleId: string,
    expected: Version,
    era: number,
    floorSeq: number,
  ): Promise<{ outcome: 'certified' | 'lost_race'; version: Version } | { outcome: 'no_such_sale' }>
  /**
   * Begins to put a sale together again under an era to come, with `reassert` and `openUnion`: from here on nobody
   * sells. Makes the sale if the store has none. `version` is the store's as it was found; `lost_race` when the sale is
   * at that era already, or a later one was begun.
   */
  beginUnion(
    definition: SaleDefinition,
    era: number,
  ): Promise<{ readonly outcome: 'begun' | 'lost_race'; readonly version: Version }>
  /**
   * Puts orders in, or over what is there, with their buyers' tickets. `recovering` when that era was not begun in this
   * life of the store.
   */
  reassert(
    saleId: string,
    era: number,
    orders: readonly Order[],
  ): Promise<{ readonly outcome: 'reasserted' | 'recovering' }>
  /** Sets the counters to what the orders came to and certifies the store, as `certify` does. */
  openUnion(
    saleId: string,
    era: number,
    sale: UnitedSale,
  ): Promise<{ readonly outcome: 'certified' | 'lost_race'; readonly version: Version }>
  /**
   * Follows the orders that came into being after a version; whole events until there are `limit` orders or events.
   * `null` when the store has no such sale.
   */
  readEvents(saleId: string, after: Version, limit: number): Promise<EventsPage | null>
  /** Forgets the events up to a version that the caller has seen. Whoever followed from before it learns `lost`. */
  trimEvents(saleId: string, upTo: Version): Promise<TrimReply>
  /** Orders by id; null where the store has none. */
  readOrders(saleId: string, orderIds: readonly string[]): Promise<readonly (Order | null)[]>
  /**
   * A buyer's orders of the sale, newest first (the newest 100), and how many tickets count against the limit.
   * `orderIds` are those that the buyer's entry lists: one without an order is what an audit looks for.
   */
  readBuyer(
    saleId: string,
    buyer: string,
  ): Promise<{
    readonly tickets: number
    readonly orderIds: readonly string[]
    readonly orders: readonly Order[]
  }>
  /** The same orders for several buyers in two reads: one list per buyer, newest first. */
  readOrdersOf(saleId: string, buyers: readonly string[]): Promise<readonly (readonly Order[])[]>
  /** Pages through every order; an order may come twice, none that was there throughout is left out. */
  scanOrders(
    saleId: string,
    cursor: string,
  ): Promise<{ readonly cursor: string | null; readonly orders: readonly Order[] }>
  /** Pages through every buyer who ever got an order, with the tickets counted against the limit. */
  scanBuyers(
    saleId: string,
    cursor: string,
  ): Promise<{
    readonly cursor: string | null
    readonly buyers: readonly { readonly buyer: string; readonly tickets: number }[]
  }>
  /**
   * Removes all of the sale that this node practises on (`core/practice.ts`). The only removal that there is: it is
   * named by the node, so that it cannot meet a sale of anybody.
   */
  erasePractice(nodeId: string): Promise<void>
}

export type NodeState = 'live' | 'draining' | 'drained' | 'dead'

export interface FleetNode {
  readonly id: string
  readonly epoch: number
  readonly state: NodeState
  readonly weight: number
  readonly url: string
  readonly adminUrl: string
  readonly lastSeenMs: number
}

/** A process of the orders service, as it last announced itself. */
export interface OrdersProcess {
  readonly id: string
  /** Where it serves buyers. */
  readonly url: string
  readonly adminUrl: string
}

export interface FleetSnapshot {
  readonly nowMs: number
  readonly version: Version
  readonly certified: boolean
  readonly nodes: readonly FleetNode[]
  /** Who announced itself and has not resigned; one that died is forgotten after a while. */
  readonly orders: readonly (OrdersProcess & { readonly lastSeenMs: number })[]
  readonly saleIds: readonly string[]
  readonly leader: {
    readonly id: string
    readonly adminUrl: string
    readonly lease: number
    readonly untilMs: number
  } | null
  /** Hash of the settings on which the cluster must agree; null while nobody has set it. */
  readonly configHash: string | null
  /** The version of this record up to which the load balancer does what it says; era 0 for none. */
  readonly applied: Version
}

/** The fleet in the global store: who is there, who leads, which sales there are. */
export interface FleetStore {
  read(): Promise<FleetSnapshot>
  /**
   * Says which settings (their hash) a process would run with; returns the hash that counts. The first of a fleet
   * sets it, and so does whoever comes when no node is live any more.
   */
  agreeOnConfig(hash: string, deadAfterMs: number): Promise<{ readonly hash: string }>
  certify(expectedEra: number, era: number): Promise<{ outcome: 'certified' | 'lost_race'; version: Version }>
  addSale(saleId: string): Promise<void>
  /** A node enters the fleet, or enters it anew, as live: a higher epoch. */
  join(node: {
    readonly id: string
    readonly url: string
    readonly adminUrl: string
    readonly weight: number
  }): Promise<{ readonly outcome: 'joined'; readonly epoch: number; readonly weight: number } | Stopped>
  heartbeat(node: { readonly id: string; readonly epoch: number }): Promise<
    | {
        readonly outcome: 'alive'
        readonly state: NodeState
        readonly weight: number
        readonly saleIds: readonly string[]
        readonly nowMs: number
      }
    | Stopped
  >
  /** Takes or renews the leader's lease; a fencing number that only grows. */
  lead(
    coordinator: { readonly id: string; readonly adminUrl: string },
    ttlMs: number,
  ): Promise<
    | { readonly outcome: 'leading'; readonly lease: number }
    | { readonly outcome: 'following'; readonly leaderId: string }
    | Stopped
  >
  /** Gives the lease back, so that another need not wait for it to lapse. */
  resign(coordinatorId: string): Promise<void>
  /**
   * An orders process says that it is there, again and again. Heard also while the fleet is not certified, for those
   * who recover it must be found. Who is there, and where, takes a seq when it changes; being heard of takes none.
   * Whoever was silent for {@link ORDERS_FORGOTTEN_AFTER_MS} is forgotten at somebody's next announcement.
   */
  announceOrders(process: OrdersProcess): Promise<{ readonly nowMs: number }>
  /** An orders process stops: nobody is to look for it any more. */
  resignOrders(id: string): Promise<void>
  /**
   * Changes nodes, each only at the epoch expected; `dead` also raises the epoch. A stale lease is refused.
   * A node itself may say that it drains or has drained, with its own epoch and `lease: null`.
   * With `expected`, a record of another version is left as it is: `outdated`, with the present version.
   */
  setNodes(
    lease: number | null,
    changes: readonly {
      readonly id: string
      readonly expectedEpoch: number
      readonly state?: NodeState
      readonly weight?: number
    }[],
    expected?: Version,
  ): Promise<{ readonly outcome: 'changed' | 'refused' | 'outdated'; readonly version: Version } | Stopped>
  /** The leader says up to which version the load balancer does what the record says; it never goes back. */
  noteApplied(lease: number, version: Version): Promise<{ readonly outcome: 'noted' | 'refused' } | Stopped>
}

export interface StockPort {
  readonly sales: SaleStore
  readonly fleet: FleetStore
  /** What durability the store gives now: read at start and at every new fingerprint. */
  durability(): Promise<{
    /** Changes when the store starts another life. */
    readonly fingerprint: string
    /** `null` when the store forbids asking. */
    readonly durable: boolean | null
    /** Replicas that are connected; a store that cannot have any says 0. */
    readonly replicas: number
    /** Setting and value found, where it falls short. */
    readonly faults: readonly string[]
  }>
  close(): Promise<void>
}
