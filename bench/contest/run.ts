/** Round by round, everybody once a round, each round beginning with another. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Interrupted } from '../cluster/processes.ts'
import type { Contender } from '../ratios/contenders.ts'
import type { ContestRun, ContestSample } from '../report/document.ts'
import { type Length, makePlan } from './plan.ts'

export interface Contest extends Pick<ContestRun, 'step' | 'id' | 'title' | 'about' | 'unit' | 'bars'> {
  /** The first is the one whose ratio to the others is shown. */
  readonly entries: readonly { readonly contender: Contender; readonly about: string }[]
}

export async function runContest(contest: Contest, length: Length, say: (line: string) => void): Promise<ContestRun> {
  const { entries, ...head } = contest
  const startedAtMs = Date.now()
  const samples: ContestSample[] = []
  const directory = mkdtempSync(join(tmpdir(), 'farebox-contest-'))
  try {
    const plan = await makePlan(directory, length)
    for (let round = 0; round < length.rounds; round += 1) {
      for (let n = 0; n < entries.length; n += 1) {
        const entry = entries[(n + round) % entries.length]
        if (entry === undefined) continue
        const { contender } = entry
        try {
          const { name } = contender
          const { perSecond, p50Ms, p99Ms, outcomes, faults } = await contender.run(plan)
          samples.push({ contender: name, round, perSecond, p50Ms, p99Ms, outcomes, faults })
          say(`  round ${round + 1}: ${name}: ${Math.round(perSecond)}/s${faults.length > 0 ? `, ${faults[0]}` : ''}`)
        } catch (error) {
          if (error instanceof Interrupted) throw error
          // No sample: the report names it as missing.
          say(`  round ${round + 1}: ${contender.name}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  return {
    kind: 'contest',
    ...head,
    startedAtMs,
    endedAtMs: Date.now(),
    settings: { ...length },
    error: null,
    reference: entries[0]?.contender.name ?? '',
    contestants: entries.map(({ contender, about }) => ({ name: contender.name, about })),
    rounds: length.rounds,
    samples,
  }
}
