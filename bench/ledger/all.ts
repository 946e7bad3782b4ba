/**
 * `npm run bench -- ledger --all`: everything that is asked of the ledger's speed, on PGlite and on PostgreSQL, one table.
 */
import { exitCode, type Verdict, verdictLines } from '../report/verdicts.ts'
import { measureKeepUp } from './keep-up.ts'
import { measureDrain } from './main.ts'
import { LEDGERS } from './orders-process.ts'
import { measureStopped } from './stopped.ts'

export interface AllOptions {
  readonly orders: number
  readonly rounds: number
  readonly pairs: number
  readonly rate: number
  /** Of each sample with the ledger stopped or running. */
  readonly pairSeconds: number
  readonly keepUpSeconds: number
  readonly strict: boolean
}

export async function runAll(options: AllOptions): Promise<number> {
  const { orders, rounds, pairs, rate, pairSeconds, keepUpSeconds, strict } = options
  say(`\n# a backlog of ${orders} orders`)
  const verdicts: Verdict[] = await measureDrain({ orders, rounds })
  for (const kind of LEDGERS) {
    say(`\n# ${kind}: keeps up`)
    verdicts.push(...(await measureKeepUp({ kind, rate, seconds: keepUpSeconds })))
  }
  for (const kind of LEDGERS) {
    say(`\n# ${kind}: stopped against running`)
    verdicts.push(...(await measureStopped({ kind, rate, pairs, seconds: pairSeconds })))
  }
  say(`\n${verdictLines(verdicts).join('\n')}`)
  return exitCode(verdicts, strict)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
