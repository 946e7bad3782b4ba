/** `npm run bench -- rush`: the rush alone, in a size of one's own. A set of one step. */
import { runScenario } from '../scenarios/run.ts'
import { SCENARIOS } from '../scenarios/specs.ts'
import { runSet } from '../set/main.ts'
import { join } from 'node:path'

export interface RushOptions {
  readonly root: string
  readonly k6: string
  readonly buyers: number
  readonly stock: number
  readonly nodes: number
  /** In which everybody comes. */
  readonly seconds: number
  readonly resultsDir: string
}

export function runRush(options: RushOptions): Promise<number> {
  const { buyers, stock, nodes, seconds } = options
  const size = { buyers, stock, nodes, seconds }
  return runSet({
    root: options.root,
    k6: options.k6,
    resultsDir: options.resultsDir,
    set: 'rush',
    steps: [
      {
        name: 'rush',
        about: 'the rush',
        takes: () => seconds + 20,
        async run({ root, k6, cores, resultsDir }) {
          const spec = SCENARIOS['rush']?.()
          if (spec === undefined) throw new Error('there is no rush')
          const evidenceDir = join(resultsDir, 'rush')
          return [await runScenario(spec, { root, k6, cores, id: 'rush', step: 'rush', evidenceDir, size })]
        },
      },
    ],
    isQuick: false,
    scale: 1,
    rounds: 1,
    seconds,
    connections: 1,
    strict: false,
  })
}
