/** What the checkers judge by: the buyers' own records, what a witness saw of the stores, and dumps at the end. */
import type { FareCounters, Order, ReleaseReason, Version } from '../../stock/core/words.ts'
import type { History } from '../history.ts'
import type { Lapse } from '../ledger-server.ts'
import type { Loss } from '../store-cluster.ts'
import type { Creation, DoorSpan, Reassertion, Release, Span } from '../witness.ts'

export type Ack = 'redis' | 'replicated' | 'ledger'

/** What the ledger decided of an order. */
export interface Fate {
  readonly orderId: string
  readonly state: 'paid' | 'released'
  readonly reason: ReleaseReason | null
  /** By the ledger's clock, in virtual time. */
  readonly atMs: number
  /** Clocks when a hold was found overdue; null for all else. */
  readonly overdue: Lapse | null
}

/** Null where there is none. */
export interface UnlikeOrder {
  readonly orderId: string
  readonly inLedger: string | null
  readonly inStore: string | null
}

/** What ledger and store have of a fare at the end, where it is not the same. */
export interface UnlikeStock {
  readonly fareId: string
  readonly inLedger: number
  readonly inStore: number
}

export interface StockChangeSeen {
  readonly fareId: string
  readonly stock: number
  readonly invokedMs: number
  /** Answered, whatever the answer was; infinite for never. */
  readonly completedMs: number
  /** The operator was told that it is done, and under which version of the store; null when it was not. */
  readonly doneAt: Version | null
}

/** What was left of one fare was to go to another. The stock of the one it is from is never set otherwise. */
export interface TransferSeen {
  readonly fromFare: string
  readonly toFare: string
  readonly invokedMs: number
}

export interface Evidence {
  readonly ack: Ack
  readonly history: History
  readonly limitPerBuyer: number
  readonly holdMs: number
  readonly buyDeadlineMs: number
  readonly opensAtMs: number | null
  /** Stock at the beginning, by fare. */
  readonly stock: Readonly<Record<string, number>>
  readonly stockChanges: readonly StockChangeSeen[]
  readonly transfers: readonly TransferSeen[]
  /** The surviving store at the end. */
  readonly orders: ReadonlyMap<string, Order>
  readonly fares: readonly FareCounters[]
  readonly buyers: ReadonlyMap<string, number>
  /** What the ledger decided. */
  readonly fates: ReadonlyMap<string, Fate>
  /** Orders whose fate the store would not take. */
  readonly conflicts: ReadonlySet<string>
  /** Orders on which store and ledger do not agree at the end. */
  readonly unlike: readonly UnlikeOrder[]
  /** Fares whose stock is not the same in store and ledger at the end. */
  readonly unlikeStocks: readonly UnlikeStock[]
  /** Orders that buyers asked for, and there were said to be none. */
  readonly notFound: readonly { readonly orderId: string; readonly invokedMs: number; readonly completedMs: number }[]
  /** What faults took from the store, by order. */
  readonly lost: ReadonlyMap<string, Loss>
  readonly losses: readonly Loss[]
  /** When two primaries took writes at once, each right by its own books. */
  readonly splits: readonly { readonly fromMs: number; readonly toMs: number }[]
  readonly creations: readonly Creation[]
  readonly settled: readonly Release[]
  /** Orders that unions put in, in that order. */
  readonly reasserted: readonly Reassertion[]
  /** When the sale was opened under a new era, in that order. */
  readonly openedMs: readonly number[]
  readonly spans: readonly Span[]
  readonly doors: readonly DoorSpan[]
  readonly lawFault: string | null
  readonly leaseFault: string | null
  readonly fenceFault: string | null
  /** When each node last crashed or was paused; its journal and memory are whole from then on. */
  readonly disturbedMs: ReadonlyMap<string, number>
  /** Nodes that run, and buyers are not sent to or that are not in the sale, after everything healed. */
  readonly leftOut: readonly string[]
  /** How often an operator had to decide what the store is worth, although a mark said how far it had come. */
  readonly forcedWithMark: number
  /** Losses for which an operator had to decide, and had not been told that the sale stays closed. */
  readonly untoldDecisions: readonly string[]
  /** Orders of a store that has lost nothing which the ledger did not have long after everything healed. */
  readonly lateRows: readonly string[]
  /** The longest that one process stood still, all its pauses together: a request may wait through several. */
  readonly pausedMsMax: number
  /** Processes that ended themselves, with why. */
  readonly crashes: readonly string[]
  /** Requests that a node which ran all the while did not answer. */
  readonly unanswered: readonly string[]
  /** A wall clock jumped, or ran differently: times of different clocks cannot be compared closely. */
  readonly hasSteppedClocks: boolean
  /** When an operator was last told of a sale that stays closed, or that was put together again. */
  readonly toldMs: number
  readonly hasConverged: boolean
  readonly endMs: number
}

export interface Violation {
  readonly rule: string
  /** The smallest thing that shows it. */
  readonly witness: string
}
