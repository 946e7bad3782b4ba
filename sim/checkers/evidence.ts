/** What the checkers judge by: the buyers' own records, what a witness saw of the stores, and dumps at the end. */
import type { FareCounters, Order } from '../../stock/core/words.ts'
import type { Fate } from '../cashier.ts'
import type { History } from '../history.ts'
import type { Loss } from '../store-cluster.ts'
import type { Creation, DoorSpan, Release, Span } from '../witness.ts'

export type Ack = 'redis' | 'replicated' | 'ledger'

export interface StockChangeSeen {
  readonly fareId: string
  readonly stock: number
  readonly invokedMs: number
  readonly completedMs: number
  /** The operator was told that it is done. */
  readonly isDone: boolean
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
  /** The surviving store at the end. */
  readonly orders: ReadonlyMap<string, Order>
  readonly fares: readonly FareCounters[]
  readonly buyers: ReadonlyMap<string, number>
  /** What the ledger decided. */
  readonly fates: ReadonlyMap<string, Fate>
  readonly conflicts: ReadonlySet<string>
  /** What faults took from the store, by order. */
  readonly lost: ReadonlyMap<string, Loss>
  readonly losses: readonly Loss[]
  /** When two primaries took writes at once, each right by its own books. */
  readonly splits: readonly { readonly fromMs: number; readonly toMs: number }[]
  readonly creations: readonly Creation[]
  readonly settled: readonly Release[]
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
  /** The longest that a process was paused. */
  readonly pauseMsMax: number
  /** Processes that ended themselves, with why. */
  readonly crashes: readonly string[]
  /** Requests that a node which ran all the while did not answer. */
  readonly unanswered: readonly string[]
  /** A wall clock jumped, or ran differently: times of different clocks cannot be compared closely. */
  readonly hasSteppedClocks: boolean
  /** A store was found behind, and an operator was told. */
  readonly wasAlarmed: boolean
  readonly hasConverged: boolean
  readonly endMs: number
}

export interface Violation {
  readonly rule: string
  /** The smallest thing that shows it. */
  readonly witness: string
}
