/** Are planted bugs found? Each is simulated until a rule breaks, at most {@link SEEDS_MAX} seeds, the regressions first. */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runThread } from '../threads.ts'
import { REGRESSIONS } from '../regressions.ts'
import { bundleDirectory, bundleWorker } from './bundle.ts'
import { type Mutant, MUTANTS } from './mutants.ts'

/** A bug that this many sales do not show is not found. */
export const SEEDS_MAX = 200

interface Caught {
  readonly mutant: Mutant
  /** Null when nothing was found. */
  readonly seed: number | null
  readonly rules: readonly string[]
  readonly witness: string
}

/** From `dist/sim/mutants` to the sources. */
const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

/** Prints a table as it is kept in docs/mutants.md; 0 when every mutant was found. */
export async function runMutants(
  names: readonly string[],
  threads: number,
  say: (line: string) => void,
): Promise<number> {
  const chosen = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name))
  const directory = bundleDirectory(ROOT)
  try {
    const waiting = [...chosen]
    const results = new Map<string, Caught>()
    const work = async (): Promise<void> => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const caught = await hunt(mutant, directory)
        results.set(mutant.name, caught)
        if (caught.seed === null) say(`${mutant.name}: NOT FOUND`)
      }
    }
    await Promise.all(Array.from({ length: threads }, work))
    say('| planted bug | where | first seed | broken rules |')
    say('| --- | --- | --- | --- |')
    for (const { name } of chosen) {
      const { mutant, seed, rules } = results.get(name) as Caught
      say(`| ${name} | \`${mutant.file}\` | ${seed ?? 'not found'} | ${rules.join(', ')} |`)
    }
    const missed = [...results.values()].filter(({ seed }) => seed === null)
    say(`\n${chosen.length - missed.length} of ${chosen.length} found within ${SEEDS_MAX} seeds`)
    return missed.length === 0 ? 0 : 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function hunt(mutant: Mutant, directory: string): Promise<Caught> {
  const file = await bundleWorker(ROOT, directory, mutant)
  const first = REGRESSIONS.map(({ seed }) => seed)
  let caught: Caught = { mutant, seed: null, rules: [], witness: '' }
  await runThread(file, { first, from: 1, step: 1, to: SEEDS_MAX - first.length, untilFound: true }, (report) => {
    if ('error' in report) {
      caught = { mutant, seed: report.seed, rules: ['simulator'], witness: report.error }
      return false
    }
    const [first] = report.violations
    if (first === undefined) return true
    const rules = [...new Set(report.violations.map(({ rule }) => rule))]
    caught = { mutant, seed: report.seed, rules, witness: first.witness }
    return false
  })
  return caught
}
