/** One thing that a set of runs does, by name. */
import type { Cores } from '../cluster/cores.ts'
import type { Run } from '../report/document.ts'

export interface Length {
  /** Buyers and tickets of the scenarios are multiplied by it. */
  readonly scale: number
  /** Interleaved rounds of what is compared; repetitions of a death. */
  readonly rounds: number
  /** Of each sample of a comparison. */
  readonly seconds: number
  readonly connections: number
}

export interface StepContext extends Length {
  readonly root: string
  readonly k6: string
  readonly cores: Cores
  /** Of the set: each run has a directory of its own in it. */
  readonly resultsDir: string
  /** Fewer points of curves, shorter questions: to see that all of it works. */
  readonly isQuick: boolean
  readonly say: (line: string) => void
}

export interface Step {
  readonly name: string
  readonly about: string
  /** About how long, in seconds, on two cores. */
  readonly takes: (length: Length & Pick<StepContext, 'isQuick'>) => number
  readonly run: (context: StepContext) => Promise<Run[]>
}
