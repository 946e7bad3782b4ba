/** `npm run bench -- table [DIR]`: keeps the figures of a whole set, and writes README's table of them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDocument, writeReport } from './files.ts'
import { type Numbers, numbersOf, withTable } from './numbers.ts'

const KEPT = ['docs', 'numbers.json'] as const

/** Null while none are kept. */
export function keptNumbers(root: string): Numbers | null {
  const path = join(root, ...KEPT)
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Numbers) : null
}

/** @param path of a set's directory; null to make the table anew from what is kept. Returns the exit code. */
export function writeTable(root: string, path: string | null, wanted: readonly string[]): number {
  if (path !== null) {
    const { document, resultsDir } = loadDocument(path)
    if (document.isQuick === true) {
      process.stderr.write('bench: a quick trial has no figures to keep\n')
      return 1
    }
    const numbers = numbersOf(document, writeReport(root, resultsDir, document).judgement, wanted)
    writeFileSync(join(root, ...KEPT), `${JSON.stringify(numbers, null, 2)}\n`)
  }
  const kept = keptNumbers(root)
  const readme = join(root, 'README.md')
  writeFileSync(readme, withTable(readFileSync(readme, 'utf8'), kept))
  const failed = kept?.rows.filter(({ verdict }) => verdict === 'FAIL') ?? []
  for (const { what, value } of failed) process.stdout.write(`FAIL  ${value ?? 'missing'}  ${what}\n`)
  process.stdout.write(kept === null ? 'no figures are kept\n' : `${kept.verdict}  ${kept.rows.length} figures\n`)
  return kept === null || kept.verdict === 'FAIL' ? 1 : 0
}
