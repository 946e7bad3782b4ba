/** A step per scenario; a death is repeated, since one says little. */
import { join } from 'node:path'
import type { Run } from '../report/document.ts'
import { runScenario } from '../scenarios/run.ts'
import type { ScenarioSpec, Size } from '../scenarios/spec.ts'
import { SCENARIOS } from '../scenarios/specs.ts'
import type { Step, StepContext } from './step.ts'

const SET_UP_SECONDS = 12
const REPEATED = ['node-death']

export const SCENARIO_STEPS: readonly Step[] = Object.entries(SCENARIOS).map(([name, make]) => {
  const repeats = (rounds: number): number => (REPEATED.includes(name) ? rounds : 1)
  return {
    name,
    about: make().title,
    takes: ({ rounds }) => repeats(rounds) * (make().size.seconds + SET_UP_SECONDS),
    async run(context) {
      const runs: Run[] = []
      for (let n = 1; n <= repeats(context.rounds); n += 1) {
        const id = repeats(context.rounds) === 1 ? name : `${name}-${n}`
        runs.push(await playScenario(make(), id, context))
      }
      return runs
    },
  }
})

function playScenario(spec: ScenarioSpec, id: string, context: StepContext): Promise<Run> {
  const { root, k6, cores, resultsDir, scale } = context
  const evidenceDir = join(resultsDir, id)
  return runScenario(spec, { root, k6, cores, id, step: spec.name, evidenceDir, size: scaled(spec, scale) })
}

/** The load in a second stays the same where that is possible, so that a smaller run is a shorter one. */
export function scaled({ size, secondsMin = 3 }: Pick<ScenarioSpec, 'size' | 'secondsMin'>, scale: number): Size {
  const { buyers, stock, nodes, seconds } = size
  return {
    buyers: Math.max(nodes, Math.round(buyers * scale)),
    stock: Math.max(1, Math.round(stock * scale)),
    nodes,
    seconds: Math.max(secondsMin, Math.round(seconds * Math.min(1, scale))),
  }
}
