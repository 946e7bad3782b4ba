/** The same by the command itself: its exit code is what a pipeline sees. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { copyRecorded, PLANTS } from './testing/planted.ts'

const ROOT = join(import.meta.dirname, '..', '..')

function report(damage: (directory: string) => void): { status: number | null; text: string; page: string } {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-self-test-'))
  try {
    copyRecorded(directory)
    damage(directory)
    const main = join(ROOT, 'dist', 'bench', 'main.js')
    const { status, stdout } = spawnSync(process.execPath, [main, 'report', directory], { encoding: 'utf8' })
    return { status, text: stdout, page: readFileSync(join(directory, 'report.html'), 'utf8') }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

describe('npm run bench -- report', () => {
  beforeAll(() => {
    expect(spawnSync(process.execPath, [join(ROOT, 'setup', 'build.mjs')]).status).toBe(0)
  })

  it('exits 0 on a lawful run', () => {
    expect(report(() => {})).toMatchObject({ status: 0, text: expect.stringMatching(/^PASS/) as string })
  })

  it.each(['a duplicate sale', 'a lost order', 'a missing sample'])('exits 1 on %s', (name) => {
    const { status, text, page } = report(PLANTS[name]?.plant ?? (() => {}))
    expect(status).toBe(1)
    expect(text).toMatch(/^FAIL/)
    expect(page).toContain('A promise was broken')
  })
})
