import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { KeptRow } from './kept-row.ts'

let box: string
beforeAll(() => {
  box = mkdtempSync(join(tmpdir(), 'farebox-rows-'))
})
afterAll(() => rmSync(box, { recursive: true }))

it('is written anew by its own run, and those of other runs stay, also of one that began in the same minute', () => {
  const path = join(box, 'runs.md')
  writeFileSync(path, '# Runs\n\n| begun | commit | sales |\n| - | - | - |\n\nText behind.\n')
  const cells = (): (string | undefined)[] => {
    const rows = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| 2'))
    return rows.map((line) => line.split('|')[3]?.trim())
  }
  const first = new KeptRow(path)
  const second = new KeptRow(path)
  first.write([2])
  second.write([10])
  second.write([11])
  expect(cells()).toEqual(['2', '11'])
  expect(readFileSync(path, 'utf8')).toMatch(/\n\nText behind\.\n$/)
}, 30_000)
