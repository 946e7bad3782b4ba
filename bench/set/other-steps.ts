/** Growth, parts and bars as steps. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AXES } from '../growth/axes.ts'
import { runGrowth } from '../growth/run.ts'
import { askMicro, microLines, QUESTIONS } from '../micro/main.ts'
import { measureRatios } from '../ratios/main.ts'
import type { Run } from '../report/document.ts'
import type { Step } from './step.ts'

const POINT_OVERHEAD_SECONDS = 25
const MICRO_MS = 1000
const RATIO_SAMPLES = 20

export const OTHER_STEPS: readonly Step[] = [
  ...AXES.map((axis) => ({
    name: axis.name,
    about: `cost per purchase and refusal against ${axis.axis}`,
    takes: ({ seconds }: { seconds: number }) => axis.at.length * (2 * seconds + POINT_OVERHEAD_SECONDS),
    run: async (context: Parameters<Step['run']>[0]) => [await runGrowth(axis, context)],
  })),
  {
    name: 'micro',
    about: 'the parts of a purchase, each alone',
    takes: () => 40,
    async run({ say }) {
      const startedAtMs = Date.now()
      const answers = await askMicro(QUESTIONS, MICRO_MS)
      for (const line of microLines(answers)) say(line)
      const title = 'Micro-benchmarks'
      const about = 'One question each; a step is timed many times in a row, with nothing else going on.'
      const settings = { msPerTask: MICRO_MS }
      const run: Run = { ...head('micro', title, about, startedAtMs), settings, kind: 'micro', answers }
      return [run]
    },
  },
  {
    name: 'ratios',
    about: 'one node against itself without batches, and a bare route',
    takes: ({ rounds, seconds }) => RATIO_SAMPLES * rounds * (seconds + 6),
    async run({ rounds, seconds, connections }) {
      const startedAtMs = Date.now()
      const directory = mkdtempSync(join(tmpdir(), 'farebox-ratios-'))
      try {
        const options = { pairs: rounds, seconds, connections, only: [] }
        const { verdicts } = await measureRatios(options, directory)
        const title = 'Ratios'
        const about = 'Interleaved pairs on one core; what a ticket costs Redis.'
        const run: Run = {
          ...head('ratios', title, about, startedAtMs),
          settings: { pairs: rounds, seconds },
          kind: 'bars',
          verdicts,
        }
        return [run]
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
  },
]

function head(name: string, title: string, about: string, startedAtMs: number) {
  return { step: name, id: name, title, about, startedAtMs, endedAtMs: Date.now(), error: null }
}
