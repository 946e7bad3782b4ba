/** The comparisons that are made. */
import { BASELINES } from '../baselines/all.ts'
import { bare, type Contender, purchases, refusals } from '../ratios/contenders.ts'
import { baseline } from './contenders.ts'
import type { Contest } from './run.ts'

const named = (contender: Contender, name: string): Contender => ({
  name,
  run: async (plan) => ({ ...(await contender.run(plan)), contender: name }),
})

/** The leak stops it for good, which is counted elsewhere. */
const COMPETING = Object.keys(BASELINES).filter((name) => name !== 'train-ticket-leaking')
const ORIGINAL_MEMORY = 'original, leak mended, no fsync'

export function baselines(fsync: 'always' | 'off'): Contest {
  const isDurable = fsync === 'always'
  const ours = [
    { contender: named(purchases(fsync, 'batched'), 'Farebox'), about: 'as it is: limit, order by key, event, fences' },
    {
      contender: named(purchases(fsync, 'single autopipelined'), 'Farebox, batch.maxItems 1'),
      about: 'one script call per purchase, calls of one turn pipelined',
    },
  ]
  const theirs = COMPETING.map((name) => ({ contender: baseline(name, fsync), about: BASELINES[name]?.about ?? '' }))
  const memory = {
    contender: baseline('train-ticket', 'off', ORIGINAL_MEMORY),
    about: 'the same, Redis writing nothing',
  }
  return {
    step: isDurable ? 'baselines' : 'baselines-memory',
    id: isDurable ? 'baselines' : 'baselines-memory',
    title: isDurable ? 'Purchases, every one on the disk before its answer' : 'Purchases, nothing written to disk',
    about: `Purchases a second on one core, server and store together, ${isDurable ? 'Redis with fsync always, PostgreSQL with fsync' : 'Redis without AOF, PostgreSQL with fsync off'}. Tickets are counted by the servers and checked against the stores.`,
    unit: 'purchases',
    entries: [...ours, ...theirs, ...(isDurable ? [memory] : [])],
    bars: isDurable
      ? [
          { against: ORIGINAL_MEMORY, atLeast: 3 },
          { against: BASELINES['train-ticket']?.title ?? '', atLeast: 4 },
          { against: BASELINES['redis-watch']?.title ?? '', atLeast: 20 },
        ]
      : [],
  }
}

export const CEILINGS: readonly Contest[] = [
  {
    step: 'ceilings',
    id: 'ceiling-purchases',
    title: 'Ceiling: purchases',
    about:
      'As many purchases as wrk can bring and one node with its Redis on one core can sell, beside an HTTP route that reads the same and decides nothing.',
    unit: 'purchases',
    entries: [
      { contender: named(purchases('always', 'batched'), 'Farebox'), about: 'fsync always' },
      { contender: named(purchases('off', 'batched'), 'Farebox, AOF off'), about: 'nothing written to disk' },
      { contender: named(bare('purchase'), 'bare route'), about: 'uWebSockets.js: reads, answers, decides nothing' },
    ],
    bars: [{ against: 'bare route', atLeast: 0.4 }],
  },
  {
    step: 'ceilings',
    id: 'ceiling-refusals',
    title: 'Ceiling: refusals after the last ticket',
    about: 'The same after zero, with 40,000 tokens that the node has seen before.',
    unit: 'refusals',
    entries: [
      { contender: named(refusals, 'Farebox'), about: 'from memory, token checked' },
      { contender: named(bare('refusal'), 'bare route'), about: 'uWebSockets.js: reads, answers, decides nothing' },
    ],
    bars: [{ against: 'bare route', atLeast: 0.9 }],
  },
]
