/**
 * What one set of runs leaves behind: everything that the report shows and judges. Records too long for it (each
 * buyer's attempts, each order) stand in files beside it, by the id of their run.
 */
import type { MicroAnswer } from '../micro/answer.ts'
import type { SaleExpectation } from './buyer-faults.ts'
import type { Excuse, Samples } from './samples.ts'
import type { Verdict } from './verdicts.ts'

export const DOCUMENT_FORMAT = 1

export interface BenchDocument {
  readonly format: typeof DOCUMENT_FORMAT
  readonly at: string
  /** Full hash, with `(changed)` when the tree was not clean. */
  readonly commit: string
  readonly machine: Readonly<Record<string, string | number>>
  readonly programs: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string | number>>
  /** As small as it can be, to see that all works: its figures mean nothing, and the report says so. */
  readonly isQuick?: boolean
  /** Steps that were chosen: one that left no run is missing. */
  readonly chosen: readonly string[]
  /** Why a step left no run, by its name, as far as it is known. */
  readonly broken?: Readonly<Record<string, string>>
  readonly runs: readonly Run[]
}

export type Run = ScenarioRun | ContestRun | DefectRun | GrowthRun | MicroRun | BarsRun

interface RunHead {
  /** The step that made it. */
  readonly step: string
  /** Unique in the document; also names its files. */
  readonly id: string
  readonly title: string
  /** What happens in it and why one would want to know, for readers who were not there. */
  readonly about: string
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly settings: Readonly<Record<string, string | number>>
  /** Why it ended before its end; null when it did not. */
  readonly error: string | null
}

export interface Mark {
  /** Since the run began. */
  readonly atMs: number
  readonly text: string
}

export interface Figure {
  readonly name: string
  /** Null where it could not be measured, which fails the run. */
  readonly value: number | null
  readonly unit: string
}

export interface K6Report {
  readonly exitCode: number | null
  /** Thresholds that were crossed: invariants, and those on latency alone. */
  readonly crossedInvariants: readonly string[]
  readonly crossedLatencies: readonly string[]
  /** Null when k6 told none. */
  readonly droppedIterations: number | null
}

export interface AuditReport {
  readonly ok: boolean
  readonly problems: readonly { readonly rule: string; readonly witness: string }[]
  readonly fares: readonly {
    readonly id: string
    readonly held: number
    readonly paid: number
    readonly diff: number
  }[]
}

/** A cluster, a load of buyers, perhaps a fault, and everything counted afterwards. */
export interface ScenarioRun extends RunHead {
  readonly kind: 'scenario'
  readonly expectation: SaleExpectation
  readonly marks: readonly Mark[]
  readonly excuses: readonly Excuse[]
  readonly samples: Samples | null
  readonly k6: K6Report | null
  readonly audit: AuditReport | null
  readonly figures: readonly Figure[]
}

export interface ContestSample {
  readonly contender: string
  readonly round: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** By how the requests ended, as the server counted them. */
  readonly outcomes: Readonly<Record<string, number>>
  /** What makes it worthless; empty when all is well. */
  readonly faults: readonly string[]
}

export interface Contestant {
  readonly name: string
  readonly about: string
}

/** The same load on several systems in turn, round by round; ratios are taken within a round. */
export interface ContestRun extends RunHead {
  readonly kind: 'contest'
  readonly unit: string
  readonly reference: string
  readonly contestants: readonly Contestant[]
  readonly rounds: number
  readonly samples: readonly ContestSample[]
  /** Bars on the reference's ratio to another contestant. */
  readonly bars: readonly { readonly against: string; readonly atLeast: number }[]
}

export interface DefectCount {
  readonly contender: string
  readonly stock: number
  /** Distinct buyers with a ticket, by what they were told; each wants one. */
  readonly told: number
  /** Tickets sold beyond the stock, by the buyers' own records. */
  readonly oversold: number
  /** Tickets that were there, and that nobody got although everybody came. */
  readonly stranded: number
  /** Tickets that came back afterwards, and that nobody could buy. */
  readonly notSoldAgain: number
  /** Requests without an answer, or with one that means trouble. */
  readonly failed: number
  /** Buyers who gave up. */
  readonly unanswered: number
}

/** One small sale, a kill -9 in the middle of it and tickets that come back: who keeps count? */
export interface DefectRun extends RunHead {
  readonly kind: 'defects'
  readonly contenders: readonly (Contestant & { readonly knownDefect: string | null })[]
  readonly counts: readonly DefectCount[]
}

export interface GrowthPoint {
  readonly x: number
  /** CPU time of all nodes and of Redis. Null where it was not measured. */
  readonly purchaseNodeUs: number | null
  readonly purchaseRedisUs: number | null
  readonly refusalNodeUs: number | null
  readonly refusalRedisUs: number | null
  readonly purchasesPerCall: number | null
  /** CPU time of all nodes and of Redis from the nodes' start until they know all that came before; once, not per ticket. */
  readonly startMs: number | null
  readonly faults: readonly string[]
}

/** What a purchase and a refusal cost as one thing grows. */
export interface GrowthRun extends RunHead {
  readonly kind: 'growth'
  readonly axis: string
  readonly wanted: readonly number[]
  readonly points: readonly GrowthPoint[]
  /** In words: what ends the growth, by design or by the machine. */
  readonly bound: string
}

export interface MicroRun extends RunHead {
  readonly kind: 'micro'
  readonly answers: readonly MicroAnswer[]
}

export interface BarsRun extends RunHead {
  readonly kind: 'bars'
  readonly verdicts: readonly Verdict[]
}
