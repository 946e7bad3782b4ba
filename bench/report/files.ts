/** Documents, evidence and reports on disk. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseAttempts, parseOrders } from './attempts.ts'
import { type BenchDocument, DOCUMENT_FORMAT, type Run } from './document.ts'
import { type DocumentJudgement, type Evidence, judgeDocument } from './judge.ts'
import { pageOf } from './page.ts'

export function loadEvidence(resultsDir: string, run: Run): Evidence {
  return {
    attempts: read(join(resultsDir, run.id, 'attempts.tsv'), parseAttempts),
    orders: read(join(resultsDir, run.id, 'orders.tsv'), parseOrders),
  }
}

/** Null where there is no file; throws on one that cannot be understood. */
function read<T>(path: string, parse: (text: string) => T): T | null {
  return existsSync(path) ? parse(readFileSync(path, 'utf8')) : null
}

/** @param path of a document, or of the directory it is in. */
export function loadDocument(path: string): { readonly document: BenchDocument; readonly resultsDir: string } {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, 'document.json') : path
  const { format, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as { format: number } & Omit<
    BenchDocument,
    'format'
  >
  if (format !== DOCUMENT_FORMAT) throw new Error(`${file}: format ${format} is not known here`)
  return { document: { format, ...rest }, resultsDir: dirname(file) }
}

/** Judges, writes the verdict beside the document and into the report. */
export function writeReport(
  root: string,
  resultsDir: string,
  document: BenchDocument,
): { readonly judgement: DocumentJudgement; readonly reportPath: string } {
  const evidence = new Map(document.runs.map((run) => [run.id, loadEvidence(resultsDir, run)]))
  const evidenceOf = (run: Run): Evidence => evidence.get(run.id) ?? { attempts: null, orders: null }
  const judgement = judgeDocument(document, evidenceOf)
  const { verdict, reasons } = judgement
  const verdicts = { verdict, reasons, runs: Object.fromEntries(judgement.runs) }
  writeFileSync(join(resultsDir, 'verdict.json'), `${JSON.stringify(verdicts, null, 1)}\n`)
  const reportPath = join(resultsDir, 'report.html')
  writeFileSync(reportPath, pageOf(root, document, judgement, evidenceOf))
  return { judgement, reportPath }
}
