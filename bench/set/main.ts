/** `npm run bench -- set`: a chosen set of runs, one document, one report, one verdict. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { divideCores } from '../cluster/cores.ts'
import { killAll } from '../cluster/processes.ts'
import { type BenchDocument, DOCUMENT_FORMAT, type Run } from '../report/document.ts'
import { exitCodeOf } from '../report/judge.ts'
import { loadEvidence, writeReport } from '../report/files.ts'
import { judgeRun } from '../report/judge.ts'
import { Progress } from './progress.ts'
import type { Length, Step, StepContext } from './step.ts'
import { surroundings } from './surroundings.ts'

export interface SetOptions extends Length {
  readonly root: string
  readonly k6: string
  readonly resultsDir: string
  readonly set: string
  readonly steps: readonly Step[]
  readonly isQuick: boolean
  readonly strict: boolean
}

export async function runSet(options: SetOptions): Promise<number> {
  const around = surroundings(options.root, options.k6)
  const resultsDir = join(options.resultsDir, `set-${around.at.replaceAll(/[:.]/g, '-')}`)
  mkdirSync(resultsDir, { recursive: true })
  const { set, scale, rounds, seconds, connections, steps, isQuick } = options
  const settings = { set, scale, rounds, seconds, connections }
  const times = timesOf(options)
  process.stderr.write(`${planLines(options, times).join('\n')}\n`)
  const progress = new Progress(process.stderr, times, () => performance.now())
  const cores = divideCores()
  const context: StepContext = {
    ...options,
    cores,
    resultsDir,
    say: (line) => progress.say(line),
  }
  const document = (runs: readonly Run[]): BenchDocument => ({
    format: DOCUMENT_FORMAT,
    ...around,
    settings: { ...settings, servers: `cores ${cores.servers ?? 'all'}`, load: `cores ${cores.load ?? 'all'}` },
    isQuick,
    chosen: steps.map(({ name }) => name),
    broken,
    runs,
  })
  const runs: Run[] = []
  const broken: Record<string, string> = {}
  const signals = listenForSignals()
  try {
    for (const step of steps) {
      if (signals.isStopped()) break
      progress.begin()
      const made = await attempt(step, context)
      if (typeof made === 'string') broken[step.name] = made
      else runs.push(...made)
      for (const run of runs.filter((one) => one.step === step.name)) tell(run, resultsDir, progress)
      // After every step, so that whatever ends the set leaves what was there.
      writeFileSync(join(resultsDir, 'document.json'), `${JSON.stringify(document(runs), null, 1)}\n`)
    }
  } finally {
    killAll()
    progress.end()
    signals.forget()
  }
  const { judgement, reportPath } = writeReport(options.root, resultsDir, document(runs))
  const lines = [judgement.verdict, ...judgement.reasons.map((reason) => `  ${reason}`), `report: ${reportPath}`]
  process.stdout.write(`${lines.join('\n')}\n`)
  return exitCodeOf(judgement, options.strict)
}

function timesOf(options: SetOptions): { name: string; seconds: number }[] {
  return options.steps.map((step) => ({ name: step.name, seconds: step.takes(options) }))
}

/** A step that breaks leaves no run but why, which fails the set; the others are still made. */
async function attempt(step: Step, context: StepContext): Promise<Run[] | string> {
  try {
    return await step.run(context)
  } catch (error) {
    context.say(`${step.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    return error instanceof Error ? error.message : String(error)
  }
}

/** Before anything runs: how long it will take, and what of it. */
function planLines({ steps, isQuick }: SetOptions, times: readonly { name: string; seconds: number }[]): string[] {
  const total = times.reduce((sum, { seconds }) => sum + seconds, 0)
  const endsAt = new Date(Date.now() + total * 1000).toTimeString().slice(0, 5)
  return [
    `${steps.length} steps, about ${Math.ceil(total / 60)} minutes, until ${endsAt}. Leave the machine alone meanwhile.`,
    ...(isQuick
      ? ['--quick: everything as small as it can be. It shows that all works; its figures mean nothing.']
      : []),
    ...times.map(({ name, seconds }) => `  ${name.padEnd(20)} ${String(Math.round(seconds)).padStart(5)} s`),
  ]
}

function tell(run: Run, resultsDir: string, progress: Progress): void {
  const { verdict, reasons } = judgeRun(run, loadEvidence(resultsDir, run))
  const seconds = Math.round((run.endedAtMs - run.startedAtMs) / 1000)
  progress.say(`${verdict.padEnd(11)} ${run.id} (${seconds} s)`)
  for (const reason of reasons) progress.say(`            ${reason}`)
}

/**
 * What the load is made by ends at once, so the step breaks off and takes its cluster down; no further one begins, and
 * the report says what is missing. A second signal ends everything.
 */
function listenForSignals(): { isStopped(): boolean; forget(): void } {
  let times = 0
  const stop = (): void => {
    times += 1
    killAll()
    if (times > 1) process.exit(130)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return {
    isStopped: () => times > 0,
    forget() {
      process.off('SIGINT', stop)
      process.off('SIGTERM', stop)
    },
  }
}
