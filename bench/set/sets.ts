/** All steps by name, and which of them make up a set. */
import { CONTEST_STEPS } from './contest-steps.ts'
import { OTHER_STEPS } from './other-steps.ts'
import { SCENARIO_STEPS } from './scenario-steps.ts'
import type { Step } from './step.ts'

export const STEPS: readonly Step[] = [...CONTEST_STEPS, ...SCENARIO_STEPS, ...OTHER_STEPS]

const SCENARIO_NAMES = SCENARIO_STEPS.map(({ name }) => name)

export const SETS: Readonly<Record<string, readonly string[]>> = {
  quick: ['rush', 'sold-out-tail', 'node-death'],
  scenarios: SCENARIO_NAMES,
  standard: STEPS.map(({ name }) => name).filter((name) => !['ratios', 'baselines-memory'].includes(name)),
  full: STEPS.map(({ name }) => name),
}

export function stepsOf(names: readonly string[]): Step[] {
  return STEPS.filter(({ name }) => names.includes(name))
}
