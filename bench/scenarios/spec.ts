/** What makes up a scenario, and what it may do while the buyers come. */
import type { Cluster, FareSpec } from '../cluster/cluster.ts'
import type { Figure } from '../report/document.ts'
import type { Attempt, StoredOrder } from '../report/attempts.ts'
import type { SaleExpectation } from '../report/buyer-faults.ts'

export interface Size {
  readonly buyers: number
  readonly stock: number
  readonly nodes: number
  /** In which the buyers come. */
  readonly seconds: number
}

/** The run as a fault sees it. */
export interface Stage {
  readonly cluster: Cluster
  readonly size: Size
  /** Since the run began. */
  nowMs(): number
  mark(text: string): void
  /** That node need not answer questions from now on; returns what ends the excuse. */
  excuse(nodeId: string): () => void
  /** When the last buyer has gone. */
  isOver(): boolean
  /** Resolves when it is so, or when the last buyer has gone; says which. */
  until(isSo: () => Promise<boolean> | boolean): Promise<'so' | 'over'>
  /** A figure that must be there in the end. */
  tell(figure: Figure): void
}

/** Everything that is known when all is over. */
export interface Outcome {
  readonly attempts: readonly Attempt[]
  readonly orders: readonly StoredOrder[]
  readonly startedAtMs: number
}

export interface ScenarioSpec {
  /** Also of its file in `bench/k6/scenarios`. */
  readonly name: string
  readonly title: string
  readonly about: string
  readonly size: Size
  /** However much smaller the run is made: what happens in it takes that long. */
  readonly secondsMin?: number
  readonly limitPerBuyer: number
  readonly holdSeconds: number
  readonly fares: (stock: number) => FareSpec[]
  readonly expects: (size: Size, fares: readonly FareSpec[]) => Omit<SaleExpectation, 'stock' | 'buyers'>
  /** Bars on latency, for k6's thresholds: from a buyer's first attempt to the final answer. */
  readonly winnerP99Ms: number
  readonly refusedP99Ms: number
  /** VUs ready to act; more than wait at any time. */
  readonly vus: number
  readonly config?: string
  readonly during?: (stage: Stage) => Promise<void>
  readonly figures?: (outcome: Outcome) => Figure[]
}
