/** What many simulated sales come to, in numbers, and what they found. */
import type { Violation } from './checkers/evidence.ts'
import type { FaultKind } from './faults.ts'
import type { WorkerReport } from './worker.ts'

export interface Finding {
  readonly seed: number
  readonly violations: readonly Violation[]
}

export interface Duration {
  readonly elapsedMs: number
  readonly processorMs: number
  readonly threads: number
}

export class Tally {
  sales = 0
  requests = 0
  orders = 0
  events = 0
  lostAcknowledged = 0
  salesWithLoss = 0
  forced = 0
  /** Sales with `ack: ledger`. */
  inLedger = 0
  readonly faults = new Map<FaultKind, number>()
  readonly findings: Finding[] = []

  add(report: WorkerReport): void {
    this.sales += 1
    if ('error' in report) {
      this.findings.push({ seed: report.seed, violations: [{ rule: 'simulator', witness: report.error }] })
      return
    }
    this.requests += report.requests
    this.orders += report.orders
    this.events += report.events
    this.lostAcknowledged += report.lostAcknowledged
    if (report.lostAcknowledged > 0) this.salesWithLoss += 1
    this.forced += report.forced
    if (report.ack === 'ledger') this.inLedger += 1
    for (const kind of report.effects) this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1)
    if (report.violations.length > 0) this.findings.push({ seed: report.seed, violations: report.violations })
  }

  /** Lines for a reader. `processorMs` is what all threads and their helpers took of all cores. */
  lines({ elapsedMs, processorMs, threads }: Duration): string[] {
    const faults = [...this.faults.values()].reduce((sum, count) => sum + count, 0)
    return [
      `sales: ${this.sales} in ${(elapsedMs / 1000).toFixed(1)} s, ${this.#perMinute(elapsedMs)} a minute with ${threads} threads`,
      `processor time: ${(processorMs / 1000).toFixed(1)} s, ${this.#perMinute(processorMs)} sales a minute and core`,
      `per sale: ${mean(this.requests, this.sales)} requests, ${mean(this.orders, this.sales)} orders, ${mean(this.events, this.sales)} events, ${mean(faults, this.sales)} faults that took effect`,
      `faults: ${[...this.faults]
        .toSorted((a, b) => b[1] - a[1])
        .map(([kind, count]) => `${kind} ${count}`)
        .join(', ')}`,
      `operator's decisions: ${this.forced}`,
      `ack: ledger in ${this.inLedger} sales, ack: redis in the others`,
      `lost acknowledged: ${this.lostAcknowledged} orders in ${this.salesWithLoss} sales, by faults that ack: redis does not survive`,
      `violations: ${this.findings.length}`,
    ]
  }

  /** Its row in the table of runs, behind begun and commit. */
  cells(from: number, processorMs: number): (string | number)[] {
    const faults = [...this.faults.values()].reduce((sum, count) => sum + count, 0)
    return [
      this.sales,
      `from ${from}`,
      this.orders,
      faults,
      this.#perMinute(processorMs),
      `${this.lostAcknowledged} in ${this.salesWithLoss} sales`,
      this.findings.length,
    ]
  }

  #perMinute(ms: number): number {
    return Math.round((this.sales / ms) * 60_000)
  }
}

function mean(sum: number, count: number): string {
  return (sum / Math.max(1, count)).toFixed(1)
}

export function findingLines({ seed, violations }: Finding): string[] {
  return [
    ...violations.map(({ rule, witness }) => `seed ${seed}: ${rule}: ${witness}`),
    `  replay: npm run sim -- --seed ${seed}`,
  ]
}
