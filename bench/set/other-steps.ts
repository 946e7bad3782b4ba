/** Growth, parts and bars as steps. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makePlan } from '../contest/plan.ts'
import { AXES } from '../growth/axes.ts'
import { runGrowth } from '../growth/run.ts'
import { askMicro, microLines, QUESTIONS } from '../micro/main.ts'
import { judgeOpening, measureOpening } from '../opening/main.ts'
import { judgeTail, measureTail } from '../paced/tail.ts'
import { measureRatios } from '../ratios/main.ts'
import type { Run } from '../report/document.ts'
import type { Verdict } from '../report/verdicts.ts'
import type { Step, StepContext } from './step.ts'

const POINT_OVERHEAD_SECONDS = 25
const MICRO_MS = 1000
const MICRO_QUICK_MS = 100
const OPENING_NODES = 4

export const OTHER_STEPS: readonly Step[] = [
  ...AXES.map((axis): Step => ({
    name: axis.name,
    about: `cost per purchase and refusal against ${axis.axis}`,
    takes: ({ seconds, isQuick }) => (isQuick ? axis.quickAt : axis.at).length * (2 * seconds + POINT_OVERHEAD_SECONDS),
    run: async (context) => [await runGrowth(axis, context)],
  })),
  {
    name: 'micro',
    about: 'the parts of a purchase, each alone',
    takes: ({ isQuick }) => (isQuick ? 10 : 40),
    async run({ isQuick, say }) {
      const startedAtMs = Date.now()
      const msPerTask = isQuick ? MICRO_QUICK_MS : MICRO_MS
      const answers = await askMicro(QUESTIONS, msPerTask)
      for (const line of microLines(answers)) say(line)
      const title = 'Micro-benchmarks'
      const about = 'One question each; a step is timed many times in a row, with nothing else going on.'
      const run: Run = {
        ...head('micro', title, about, startedAtMs),
        settings: { msPerTask },
        kind: 'micro',
        answers,
      }
      return [run]
    },
  },
  barsStep({
    name: 'ratios',
    about: 'one node against itself without batches, and a bare route',
    explained: 'Interleaved pairs on one core; what a ticket costs Redis.',
    title: 'Ratios',
    takes: ({ rounds, seconds }) => 60 + rounds * (12 * (seconds + 7) + 30),
    measure: async ({ rounds, seconds, connections, say }, directory) =>
      (await measureRatios({ pairs: rounds, seconds, connections, only: [] }, directory, say)).verdicts,
  }),
  barsStep({
    name: 'tail',
    about: 'purchase p99 against p50 at 80 % of the maximum rate',
    explained:
      'How many purchases a second one node sells at most, then as many as four fifths of that, each sent when its turn comes, whatever became of those before. Times count from that turn on.',
    title: 'The slowest of a hundred, at four fifths of the maximum',
    takes: ({ rounds, seconds }) => 15 + rounds * (2 * seconds + 18),
    measure: async (context, directory) =>
      judgeTail(await measureTail(await makePlan(directory, context), context.say)),
  }),
  barsStep({
    name: 'opening',
    about: 'the first purchase after a scheduled opening against the next thousand',
    explained:
      'A fleet that has just started and sold nothing; at the opening second one purchase at each node, every other round through nginx, then a thousand more on the same connection.',
    title: 'The first buyer after an opening',
    takes: ({ rounds }) => rounds * 25,
    measure: async ({ root, rounds, say }) =>
      judgeOpening(await measureOpening({ root, nodes: OPENING_NODES, rounds }, say)),
  }),
]

interface BarsStep extends Omit<Step, 'run'> {
  readonly title: string
  readonly explained: string
  /** `directory` is removed afterwards. */
  readonly measure: (context: StepContext, directory: string) => Promise<readonly Verdict[]>
}

function barsStep({ name, about, title, explained, takes, measure }: BarsStep): Step {
  return {
    name,
    about,
    takes,
    async run(context) {
      const startedAtMs = Date.now()
      const directory = mkdtempSync(join(tmpdir(), 'farebox-bars-'))
      try {
        const verdicts = await measure(context, directory)
        const { rounds, seconds, connections } = context
        const settings = { rounds, seconds, connections }
        return [{ ...head(name, title, explained, startedAtMs), settings, kind: 'bars', verdicts }]
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
  }
}

function head(name: string, title: string, about: string, startedAtMs: number) {
  return { step: name, id: name, title, about, startedAtMs, endedAtMs: Date.now(), error: null }
}
