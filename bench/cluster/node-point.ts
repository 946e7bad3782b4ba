/** What a node's `/metrics` say, as far as the bench counts it. */
import type { NodePoint } from '../report/samples.ts'

export function parseNodePoint(text: string): NodePoint {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN)
  const outcomes = text.matchAll(/^farebox_buys_total\{outcome="(\w+)"\} (\d+)$/gm)
  return {
    outcomes: Object.fromEntries([...outcomes].map(([, name = '', times]) => [name, Number(times)])),
    confirmCalls: number(/^farebox_confirm_calls_total (\d+)$/m),
    batchItems: number(/^farebox_batch_items_sum (\d+)$/m),
    cpuMs: number(/^farebox_process_cpu_seconds_total ([\d.e+-]+)$/m) * 1000,
  }
}
