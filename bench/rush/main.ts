/** `npm run bench -- rush`: a cluster, k6, the audit, a verdict. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseRecords, rushFaults } from './records.ts'

export interface RushOptions {
  readonly root: string
  readonly k6: string
  readonly buyers: number
  readonly stock: number
  readonly nodes: number
  /** In which everybody comes. */
  readonly seconds: number
  readonly resultsDir: string
}

const SALE = 'rush'
const FARE = 'standing'
/** Of tokens, for the largest rush that one machine can make. */
const OUTPUT_BYTES_MAX = 1 << 30

const stay = (): undefined => undefined

export async function runRush(options: RushOptions): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-rush-'))
  const farebox = (...args: string[]) => runFarebox(options.root, join(directory, 'cluster'), args)
  // k6 and `up` belong to our process group: Ctrl-C reaches them too, and `finally` takes down what is left.
  process.on('SIGINT', stay)
  process.on('SIGTERM', stay)
  try {
    const sale = join(directory, 'sale.yaml')
    writeFileSync(sale, saleFile(options.stock))
    say(`starting ${options.nodes} nodes with a stock of ${options.stock}`)
    const cluster = farebox('up', '--detach', '--json', '--port', '0', '--nodes', String(options.nodes), '--sale', sale)
    if (cluster.code !== 0) throw new Error(`the cluster did not start: ${cluster.text}`)
    const { url } = JSON.parse(cluster.text) as { url: string }
    const tokens = join(directory, 'tokens')
    writeFileSync(tokens, farebox('token', '--count', String(options.buyers), '--prefix', 'rush-').text)
    const k6 = await runK6(options, directory, url, tokens)
    const audit = farebox('audit', SALE)
    return report(options, directory, k6, audit)
  } finally {
    farebox('down', '--purge')
    rmSync(directory, { recursive: true, force: true })
    process.off('SIGINT', stay)
    process.off('SIGTERM', stay)
  }
}

function saleFile(stock: number): string {
  return [
    `id: ${SALE}`,
    'name: The rush',
    'limitPerBuyer: 1',
    'holdSeconds: 3600',
    'fares:',
    `  - { id: ${FARE}, name: Standing, stock: ${stock}, price: { amount: 100, currency: EUR } }`,
    '',
  ].join('\n')
}

interface Ended {
  readonly code: number | null
  readonly text: string
}

function runFarebox(root: string, dir: string, args: readonly string[]): Ended {
  const run = spawnSync(process.execPath, [join(root, 'bin', 'farebox'), ...args, '--dir', dir], {
    encoding: 'utf8',
    maxBuffer: OUTPUT_BYTES_MAX,
    stdio: ['ignore', 'pipe', 2],
  })
  return { code: run.status, text: run.stdout }
}

/** Records go to a file; the summary to the terminal. */
async function runK6(options: RushOptions, directory: string, url: string, tokens: string): Promise<number | null> {
  const { buyers, stock, seconds } = options
  const environment = { URL: url, SALE, FARE, TOKENS: tokens, BUYERS: buyers, STOCK: stock, SECONDS: seconds }
  const output = ['--console-output', logOf(directory), '--summary-export', join(directory, 'summary.json')]
  const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`])
  const scenario = join(options.root, 'bench', 'k6', 'scenarios', 'rush.ts')
  const args = ['run', '--quiet', '--no-usage-report', '--log-format', 'raw', ...output, ...variables, scenario]
  const child = spawn(options.k6, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

function logOf(directory: string): string {
  return join(directory, 'records.log')
}

function report(options: RushOptions, directory: string, k6: number | null, audit: Ended): number {
  const records = parseRecords(readFileSync(logOf(directory), 'utf8'))
  const faults = rushFaults(records, options.stock, options.buyers)
  if (k6 !== 0) faults.push(`k6 ended with ${k6}: a threshold above was crossed, or it could not run`)
  if (audit.code !== 0) faults.push('the audit does not agree')
  mkdirSync(options.resultsDir, { recursive: true })
  const at = new Date().toISOString()
  const path = join(options.resultsDir, `rush-${at.replaceAll(/[:.]/g, '-')}.json`)
  const summary: unknown = JSON.parse(readFileSync(join(directory, 'summary.json'), 'utf8'))
  writeFileSync(path, `${JSON.stringify({ at, options, faults, summary }, null, 2)}\n`)
  say(audit.text)
  for (const fault of faults) say(`FAIL  ${fault}`)
  say(
    `${faults.length === 0 ? 'PASS' : 'FAIL'}  ${options.buyers} buyers, ${options.stock} tickets; written to ${path}`,
  )
  return faults.length === 0 ? 0 : 1
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
