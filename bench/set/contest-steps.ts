/** Comparisons as steps. */
import { BASELINES } from '../baselines/all.ts'
import { baselines, CEILINGS } from '../contest/contests.ts'
import { runDeductions } from '../contest/deduction.ts'
import { runDefects } from '../contest/defects.ts'
import { type Contest, runContest } from '../contest/run.ts'
import type { Run } from '../report/document.ts'
import type { Step } from './step.ts'

const SAMPLE_OVERHEAD_SECONDS = 8

export const CONTEST_STEPS: readonly Step[] = [
  contestStep('ceilings', 'the most that one core sells and refuses', CEILINGS),
  contestStep('baselines', 'ways known from the field, every purchase on disk', [baselines('always')]),
  contestStep('baselines-memory', 'the same with nothing written to disk', [baselines('off')]),
  {
    name: 'defects',
    about: 'what each way miscounts when a server dies',
    takes: () => (Object.keys(BASELINES).length + 2) * SAMPLE_OVERHEAD_SECONDS,
    run: async ({ say }) => [await runDefects(say), runDeductions()],
  },
]

function contestStep(name: string, about: string, contests: readonly Contest[]): Step {
  const samples = contests.reduce((sum, { entries }) => sum + entries.length, 0)
  return {
    name,
    about,
    takes: ({ rounds, seconds }) => samples * rounds * (seconds + SAMPLE_OVERHEAD_SECONDS),
    async run({ rounds, seconds, connections, say }) {
      const runs: Run[] = []
      for (const contest of contests) runs.push(await runContest(contest, { rounds, seconds, connections }, say))
      return runs
    },
  }
}
