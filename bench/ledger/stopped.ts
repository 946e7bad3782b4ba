/**
 * `npm run bench -- ledger-stopped`: what a buyer waits for an answer, with the ledger stopped against with it running.
 * The two must not differ: no purchase waits for the ledger. Pairs in turn, each sample from a fresh start.
 */
import { exitCode, judgeValue, median, type Verdict, verdictLines } from '../report/verdicts.ts'
import { pacedFaults, type PacedSummary } from '../paced/run.ts'
import type { LedgerKind } from './orders-process.ts'
import { drained, type PacedPlan, type PacedStage, withPlan, withStage } from './paced-site.ts'

export interface StoppedOptions {
  readonly kind: LedgerKind
  readonly pairs: number
  readonly seconds: number
  readonly rate: number
  readonly strict: boolean
}

interface Sample extends PacedSummary {
  readonly faults: readonly string[]
}

export async function runStopped(options: StoppedOptions): Promise<number> {
  const verdicts = await measureStopped(options)
  say(`\n${verdictLines(verdicts).join('\n')}`)
  return exitCode(verdicts, options.strict)
}

export function measureStopped(options: Omit<StoppedOptions, 'strict'>): Promise<Verdict[]> {
  return withPlan(options, async (plan) => {
    const ratios: number[] = []
    const faults: string[] = []
    for (let pair = 1; pair <= options.pairs; pair += 1) {
      const { stopped, running } = await takePair(plan, pair % 2 === 1)
      ratios.push(stopped.p99Ms / running.p99Ms)
      faults.push(...[...stopped.faults, ...running.faults].map((fault) => `pair ${pair}: ${fault}`))
      const sides = [`stopped ${shown(stopped)}`, `running ${shown(running)}`]
      say(`${pair}/${options.pairs}: ${sides.join('; ')}; p99 ratio ${ratios.at(-1)?.toFixed(3)}`)
    }
    const what = options.kind === 'pglite' ? 'orders process' : 'PostgreSQL'
    const name = `p99 at ${options.rate} purchases/s, ${what} stopped against running, median of ${options.pairs} pairs`
    say(`pairs: ${ratios.map((ratio) => ratio.toFixed(3)).join(', ')}`)
    return [judgeValue({ name, atLeast: 0.8, atMost: 1.25 }, median(ratios), faults)]
  })
}

/** The order alternates, so that neither always goes first. */
async function takePair(plan: PacedPlan, isStoppedFirst: boolean): Promise<{ stopped: Sample; running: Sample }> {
  if (isStoppedFirst)
    return { stopped: await withStage(plan, sellStopped), running: await withStage(plan, sellRunning) }
  const running = await withStage(plan, sellRunning)
  return { stopped: await withStage(plan, sellStopped), running }
}

async function sellRunning({ site, ledger, total, count, sell }: PacedStage): Promise<Sample> {
  const summary = await sell()
  await drained(ledger, total)
  return { ...summary, faults: [...pacedFaults(summary, count), ...(await site.faults(['won']))] }
}

async function sellStopped({ site, ledger, count, sell }: PacedStage): Promise<Sample> {
  const before = await ledger.level()
  await ledger.kill()
  const summary = await sell()
  const faults = [...pacedFaults(summary, count), ...(await site.faults(['won']))]
  const after = await ledger.level().catch(() => before)
  if (after.taken !== before.taken) faults.push(`the ledger took ${after.taken - before.taken} orders while stopped`)
  return { ...summary, faults }
}

function shown({ p50Ms, p99Ms, maxMs, lateP99Ms }: PacedSummary): string {
  const [p50, p99, max, late] = [p50Ms, p99Ms, maxMs, lateP99Ms].map((ms) => ms.toFixed(1))
  return `p50 ${p50}, p99 ${p99}, max ${max} ms (sent up to ${late} late)`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
