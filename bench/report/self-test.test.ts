/** The suite's test of itself: whoever plants a fault into a run must find it in the report. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadDocument, writeReport } from './files.ts'
import { exitCodeOf } from './judge.ts'
import { copyRecorded, PLANTS } from './testing/planted.ts'

const ROOT = join(import.meta.dirname, '..', '..')

function judged(damage: (directory: string) => void): { verdict: string; reasons: string; exit: number; page: string } {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-self-test-'))
  try {
    copyRecorded(directory)
    damage(directory)
    const { document, resultsDir } = loadDocument(directory)
    const { judgement, reportPath } = writeReport(ROOT, resultsDir, document)
    const all = [...judgement.reasons, ...[...judgement.runs.values()].flatMap(({ reasons }) => reasons)]
    const page = readFileSync(reportPath, 'utf8')
    return { verdict: judgement.verdict, reasons: all.join('\n'), exit: exitCodeOf(judgement, false), page }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

describe('the report of a recorded run', () => {
  it('passes as it was recorded, and shows it', () => {
    const { verdict, exit, page, reasons } = judged(() => {})
    expect({ verdict, exit, reasons }).toEqual({ verdict: 'PASS', exit: 0, reasons: '' })
    expect(page).toContain('Every promise held')
    expect(page.match(/<figure class="chart">/g)?.length).toBeGreaterThanOrEqual(6)
  })

  it.each(Object.entries(PLANTS))('says FAIL, and ends with an error, on %s', (_name, { plant, found }) => {
    const { verdict, exit, page, reasons } = judged(plant)
    expect({ verdict, exit }).toEqual({ verdict: 'FAIL', exit: 1 })
    expect(reasons).toMatch(found)
    expect(page).toContain('<span class="badge fail">FAIL</span>')
  })

  it('needs nothing beside it: no address outside of the page', () => {
    const { page } = judged(() => {})
    expect(page.match(/(?:src|href)="(?!#)[^"]*"/g)).toBeNull()
  })
})
