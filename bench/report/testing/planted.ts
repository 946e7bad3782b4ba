/** Faults planted into a recorded run: the report must find each, or it finds nothing. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Attempt, attemptLines, orderLines, parseAttempts, parseOrders } from '../attempts.ts'
import type { BenchDocument, ScenarioRun } from '../document.ts'

/** A small rush, as it was recorded. */
export const RECORDED = join(import.meta.dirname, 'recorded')

export const PLANTS: Readonly<Record<string, { readonly plant: (directory: string) => void; readonly found: RegExp }>> =
  {
    'a duplicate sale': {
      // Two buyers are told of one and the same order.
      plant: (directory) => {
        changeAttempts(directory, (attempts) => {
          const winner = attempts.find(({ outcome }) => outcome === 'won')
          const loser = attempts.findIndex(({ outcome }) => outcome === 'refused')
          if (winner === undefined || loser === -1) throw new Error('the recorded run has no winner or no loser')
          const { outcome, what, status } = winner
          return attempts.map((one, n) => (n === loser ? { ...one, outcome, what, status } : one))
        })
      },
      found: /sold twice/,
    },
    'an oversale': {
      plant: (directory) => {
        changeAttempts(directory, (attempts) =>
          attempts.map((one, n) => (one.outcome === 'refused' ? { ...one, outcome: 'won', what: `order-${n}` } : one)),
        )
      },
      found: /OVERSOLD/,
    },
    'a lost order': {
      plant: (directory) => {
        const path = join(directory, 'rush', 'orders.tsv')
        writeFileSync(path, orderLines(parseOrders(readFileSync(path, 'utf8')).slice(1)))
      },
      found: /LOST ORDER/,
    },
    'a missing sample': {
      plant: (directory) =>
        changeRun(directory, (run) => ({
          ...run,
          samples: run.samples && { ...run.samples, points: run.samples.points.toSpliced(3, 1) },
        })),
      found: /MISSING SAMPLE/,
    },
    'a sample without a node': {
      plant: (directory) =>
        changeRun(directory, (run) => ({
          ...run,
          samples: run.samples && {
            ...run.samples,
            points: run.samples.points.map((point, n) =>
              n === 2 ? { ...point, nodes: { ...point.nodes, n1: null } } : point,
            ),
          },
        })),
      found: /MISSING DATA/,
    },
    'a missing figure': {
      plant: (directory) =>
        changeRun(directory, (run) => ({ ...run, figures: run.figures.map((figure) => ({ ...figure, value: null })) })),
      found: /MISSING FIGURE/,
    },
    'arrivals that were dropped': {
      plant: (directory) =>
        changeRun(directory, (run) => ({ ...run, k6: run.k6 && { ...run.k6, droppedIterations: 1 } })),
      found: /INVALID/,
    },
    'an audit that does not agree': {
      plant: (directory) =>
        changeRun(directory, (run) => ({ ...run, audit: run.audit && { ...run.audit, ok: false } })),
      found: /audit/,
    },
    'a chosen run that is not there': {
      plant: (directory) => changeDocument(directory, (document) => ({ ...document, chosen: ['rush', 'steady'] })),
      found: /steady: chosen, but there is no run of it/,
    },
    'a false "sold out"': {
      plant: (directory) => {
        changeAttempts(directory, (attempts) => {
          const first = attempts.findIndex(({ outcome }) => outcome === 'refused')
          const askedMs = Math.min(...attempts.map(({ sentMs }) => sentMs))
          return attempts.map((one, n) =>
            n === first ? { ...one, sentMs: askedMs - 2, answeredMs: askedMs - 1 } : one,
          )
        })
      },
      found: /"no more" before/,
    },
  }

/** A copy of the recorded run to be damaged. */
export function copyRecorded(directory: string): void {
  cpSync(RECORDED, directory, { recursive: true })
}

function changeAttempts(directory: string, change: (attempts: Attempt[]) => Attempt[]): void {
  const path = join(directory, 'rush', 'attempts.tsv')
  const attempts = parseAttempts(readFileSync(path, 'utf8'))
  writeFileSync(path, attemptLines(change(attempts)))
}

function changeDocument(directory: string, change: (document: BenchDocument) => BenchDocument): void {
  const path = join(directory, 'document.json')
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as BenchDocument)))
}

function changeRun(directory: string, change: (run: ScenarioRun) => ScenarioRun): void {
  changeDocument(directory, (document) => ({
    ...document,
    runs: document.runs.map((run) => (run.kind === 'scenario' ? change(run) : run)),
  }))
}
