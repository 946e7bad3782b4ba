/** All steps by name, and which of them make up a set. */
import { CONTEST_STEPS } from './contest-steps.ts'
import { OTHER_STEPS } from './other-steps.ts'
import { SCENARIO_STEPS } from './scenario-steps.ts'
import type { Length, Step } from './step.ts'

export const STEPS: readonly Step[] = [...CONTEST_STEPS, ...SCENARIO_STEPS, ...OTHER_STEPS]

const SCENARIO_NAMES = SCENARIO_STEPS.map(({ name }) => name)

export const SETS: Readonly<Record<string, readonly string[]>> = {
  scenarios: SCENARIO_NAMES,
  full: STEPS.map(({ name }) => name),
}

/** How long and how large, unless it is said otherwise. */
export const FULL: Length = { scale: 1, rounds: 3, seconds: 5, connections: 256 }
/** As small as every step still works and is judged; its figures are noise. */
export const QUICK: Length = { scale: 0.1, rounds: 1, seconds: 1, connections: 64 }

export function stepsOf(names: readonly string[]): Step[] {
  return STEPS.filter(({ name }) => names.includes(name))
}
