/**
 * The ledger port: what is asked of the SQL database of sales and orders, in domain words.
 *
 * The store decides scarcity, the ledger decides fate. It owns a sale's definition, stock, state and era, and whether an
 * order is held, paid or released. Every change is one transaction that is conditional on what it expects to find, so
 * each may be repeated after an unknown outcome, and of several that race exactly one wins.
 *
 * Methods reject with `DatabaseError`; outcomes of the domain are values.
 */
import type {
  Order,
  OrderState,
  Price,
  ReleaseReason,
  SaleDefinition,
  SaleState,
  Version,
} from '../../stock/core/words.ts'

/** The highest version of a sale that anybody is known to have seen in the store. */
export interface Watermark {
  readonly version: Version
  /** Whether the store kept every acknowledged write (fsync always) when this was seen. */
  readonly durable: boolean
  /** The store's life in which it was seen. */
  readonly fingerprint: string
}

export interface LedgerFare {
  readonly fareId: string
  readonly stock: number
  /** Tickets of orders in the ledger, by state. */
  readonly held: number
  readonly paid: number
}

/** A fare's counters as the ledger keeps them beside its rows, and what those rows sum to at the same instant. */
export interface FareRecount {
  readonly fareId: string
  readonly held: number
  readonly paid: number
  readonly countedHeld: number
  readonly countedPaid: number
}

export interface LedgerSale {
  readonly definition: SaleDefinition
  /** As last set by an operator; opening and closing times act by the store's clock. */
  readonly state: SaleState
  readonly fares: readonly LedgerFare[]
  readonly era: number
  /** Every event of the store up to this one is in the ledger. */
  readonly taken: Version
  readonly watermark: Watermark
}

export interface LedgerOrder {
  readonly id: string
  readonly saleId: string
  readonly fareId: string
  readonly buyer: string
  readonly quantity: number
  readonly state: OrderState
  readonly reason: ReleaseReason | null
  readonly createdAtMs: number
  readonly holdExpiresAtMs: number
  readonly paidAtMs: number | null
  readonly releasedAtMs: number | null
  readonly unitPrice: Price
  /** The store knows this fate. */
  readonly isSettled: boolean
}

/** Orders that came into being in the store between two versions, as read from its events. */
export interface EventBatch {
  /** Era of the store at the moment of reading, whatever era the events carry: the fence. */
  readonly storeEra: number
  /** Where the reading began: the batch is taken only if the ledger is exactly there. */
  readonly after: Version
  /** The version of the last event read. */
  readonly upTo: Version
  readonly orders: readonly Order[]
}

export type TakeResult =
  /** `inserted` were new; `conflicts` could not be fitted under the stock and are released as `conflict`. */
  | {
      readonly outcome: 'taken'
      readonly inserted: number
      readonly conflicts: readonly string[]
      /** Put aside because the database refused that very row; tried again later, see {@link Ledger.retryDeadLetters}. */
      readonly setAside: readonly string[]
    }
  /** The ledger's era is another: the store that was read is not the certified one. */
  | { readonly outcome: 'fenced'; readonly era: number }
  /** Somebody else has taken further. */
  | { readonly outcome: 'moved'; readonly taken: Version }
  | { readonly outcome: 'no_such_sale' }

export type EnsureResult =
  | {
      readonly outcome: 'ensured'
      /** The rows of these orders as they are now; those put aside have none. */
      readonly orders: readonly LedgerOrder[]
      readonly conflicts: readonly string[]
      readonly setAside: readonly string[]
    }
  | { readonly outcome: 'fenced'; readonly era: number }
  | { readonly outcome: 'no_such_sale' }

export type Fate = { readonly state: 'paid' } | { readonly state: 'released'; readonly reason: ReleaseReason }

export interface Decision {
  readonly orderId: string
  readonly fate: Fate
}

/** A decision that had to wait to be made: it is judged by the clocks as they were when it was heard. */
export interface HeardDecision extends Decision {
  readonly heard?: {
    /** The store's clock as known then, null when it was not. */
    readonly storeNowMs: number | null
    /** How long ago that is now. */
    readonly agoMs: () => number
  }
}

/** `decided` now; `already` so before; `refused`: its fate is another; `too_early` and `too_late` by the deadline. */
export interface DecisionResult {
  readonly outcome: 'decided' | 'already' | 'refused' | 'too_early' | 'too_late' | 'no_such_order'
  /** As it is now; null when there is none. */
  readonly order: LedgerOrder | null
}

export interface Told {
  readonly saleId: string
  readonly version: Version
}

export interface FeedItem {
  /** Grows with every change of any order of the sale; a reader goes on from the last one it has. */
  readonly position: number
  readonly order: LedgerOrder
}

export interface DeadLetter {
  readonly orderId: string
  readonly saleId: string
  readonly order: Order
  readonly tries: number
  readonly error: string
  /** No further try: an alarm, and the ticket returns at its deadline. */
  readonly isDead: boolean
  /** Its fate is `released`, `expired`. */
  readonly isReleased: boolean
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export interface Ledger {
  /** Milliseconds since 1970 by the database's clock. */
  nowMs(): Promise<number>

  /** Makes the sale with era 1 in state draft or scheduled; one that exists is returned untouched. */
  createSale(definition: SaleDefinition): Promise<{ readonly outcome: 'created' | 'exists'; readonly sale: LedgerSale }>
  sale(saleId: string): Promise<LedgerSale | null>
  sales(): Promise<readonly LedgerSale[]>
  setState(saleId: string, state: SaleState): Promise<LedgerSale | null>
  /** Refused below held + paid. */
  setStock(
    saleId: string,
    fareId: string,
    stock: number,
  ): Promise<{ readonly outcome: 'changed' | 'unchanged' | 'below_held_and_paid' | 'no_such_fare' }>
  /** Moves the era by compare-and-set; the loser learns the present one. Ends the acts of operators under way. */
  beginEra(
    saleId: string,
    expectedEra: number,
    atLeast?: number,
  ): Promise<{ readonly outcome: 'begun' | 'lost_race'; readonly era: number } | { readonly outcome: 'no_such_sale' }>
  /** Never lowers; the same version again may change what is known of durability. */
  raiseWatermark(saleId: string, watermark: Watermark): Promise<void>

  /**
   * Inserts a batch whole, in one transaction under the era fence, and moves the cursor.
   *
   * An order that is there already counts once. Where ledger and record differ, the further of held, paid, released
   * counts: a fate that only the record knows is taken over, and one that the store has forgotten is unsettled again.
   */
  take(saleId: string, batch: EventBatch): Promise<TakeResult>
  /** The same for orders read singly, for an act on an order whose event has not been taken yet; no cursor moves. */
  ensure(saleId: string, storeEra: number, orders: readonly Order[]): Promise<EnsureResult>
  /** Tries the orders set aside again, each alone; after five tries in all one is dead. Nothing while fenced. */
  retryDeadLetters(
    saleId: string,
    storeEra: number,
  ): Promise<{ readonly inserted: number; readonly died: readonly string[] }>
  /** By order id. */
  deadLetters(saleId: string): Promise<readonly DeadLetter[]>
  /**
   * Dead letters past their deadline by both clocks: from then on their fate is `released`, `expired`. Returns those
   * whose fate the store has not heard of, the ones of earlier calls included; `markSettled` takes them as well.
   */
  releaseDeadLetters(saleId: string, storeNowMs: number, limit: number): Promise<readonly string[]>

  order(orderId: string): Promise<LedgerOrder | null>
  /** Those of them that are there, in any order, by one question. */
  orders(orderIds: readonly string[]): Promise<readonly LedgerOrder[]>
  /** Newest first; a cursor that is none gives an empty page. */
  ordersOfBuyer(buyer: string, cursor: string | null, limit: number): Promise<Page<LedgerOrder>>
  /**
   * One conditional update each, all in one transaction. `storeNowMs` is the store's clock as last heard, or null:
   * a hold lapses, and a payment is too late, only when both clocks have passed the deadline. Refunding is only for
   * `paid`, cancelling and expiring only for `held`. An order named twice is judged twice, one after the other.
   */
  decide(decisions: readonly Decision[], storeNowMs: number | null): Promise<readonly DecisionResult[]>
  /** Held orders past their deadline by both clocks are released as `expired`; returns them. */
  expire(saleId: string, storeNowMs: number, limit: number): Promise<readonly LedgerOrder[]>
  /** Orders whose fate the store has not heard of, oldest fate first, without the first `skip` of them. */
  unsettled(saleId: string, limit: number, skip?: number): Promise<readonly LedgerOrder[]>
  /**
   * The store knows these fates now. `told` is where it was when it said so: a store that comes back with less has
   * forgotten some of them, so this raises a watermark that is lower, and in another era than the ledger's, where the
   * store may be another by now, nothing is marked.
   */
  markSettled(settled: readonly Decision[], told?: Told): Promise<void>

  /** Every change of the sale's orders after a position, in order; none comes into being behind a position given out. */
  feed(saleId: string, after: number, limit: number): Promise<readonly FeedItem[]>
  /** Pages through all orders of a sale by id. */
  scanOrders(saleId: string, after: string | null, limit: number): Promise<readonly LedgerOrder[]>
  /** The same of their ids alone, in a fraction of the time. */
  scanOrderIds(saleId: string, after: string | null, limit: number): Promise<readonly string[]>
  /** Sums recounted from the rows, not the counters. */
  sums(saleId: string): Promise<readonly { readonly fareId: string; readonly held: number; readonly paid: number }[]>
  /** Counters and sums side by side, by one statement: no change can come between them. */
  recount(saleId: string): Promise<readonly FareRecount[]>
  close(): Promise<void>
}
