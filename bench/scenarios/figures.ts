/** What every scenario tells in numbers: by the buyers' records, and by the samples. */
import type { Attempt } from '../report/attempts.ts'
import { hasOrder, ordersTold, ticketsByFare } from '../report/buyer-faults.ts'
import type { Figure } from '../report/document.ts'
import { percentile } from '../report/percentile.ts'
import type { NodePoint, Samples } from '../report/samples.ts'
import type { Outcome } from './spec.ts'

export function commonFigures({ attempts }: Outcome, samples: Samples | null): Figure[] {
  const refused = attempts.filter(({ outcome }) => outcome === 'refused')
  const tickets = [...ticketsByFare(ordersTold(attempts)).values()].reduce((sum, one) => sum + one, 0)
  const won = attempts.filter(hasOrder)
  return [
    { name: 'tickets sold', value: tickets, unit: 'tickets' },
    { name: 'refusals', value: refused.length, unit: 'answers' },
    {
      name: 'requests to be repeated',
      value: attempts.filter(({ outcome }) => outcome === 'again').length,
      unit: 'requests',
    },
    ...latencies('an order', won),
    ...(refused.length === 0 ? [] : latencies('a refusal', refused)),
    { name: 'script calls per ticket', value: perTicket(samples, tickets), unit: 'calls' },
    { name: 'purchases per confirm call', value: meanBatch(samples), unit: 'purchases' },
  ]
}

function latencies(what: string, attempts: readonly Attempt[]): Figure[] {
  const ms = attempts.map(({ sentMs, answeredMs }) => answeredMs - sentMs).toSorted((a, b) => a - b)
  return [
    { name: `answer with ${what}, p50`, value: percentile(ms, 0.5), unit: 'ms' },
    { name: `answer with ${what}, p99`, value: percentile(ms, 0.99), unit: 'ms' },
  ]
}

/** Confirm calls of all nodes: heartbeats, which time alone brings, are not counted. */
function perTicket(samples: Samples | null, tickets: number): number | null {
  const calls = grown(samples, ({ confirmCalls }) => confirmCalls)
  return calls === null || tickets === 0 ? null : calls / tickets
}

function meanBatch(samples: Samples | null): number | null {
  const calls = grown(samples, ({ confirmCalls }) => confirmCalls)
  const items = grown(samples, ({ batchItems }) => batchItems)
  return calls === null || items === null || calls === 0 ? null : items / calls
}

/** Growth of a counter, all nodes together; a node that was killed counts with what it last said. */
export function grown(samples: Samples | null, read: (point: NodePoint) => number): number | null {
  if (samples === null || samples.points.length === 0) return null
  const ids = Object.keys(samples.points[0]?.nodes ?? {})
  let total = 0
  for (const id of ids) {
    let before: number | null = null
    for (const { nodes } of samples.points) {
      const point = nodes[id] ?? null
      if (point === null) continue
      const value = read(point)
      // A counter that fell began anew with its process.
      if (before !== null) total += value >= before ? value - before : value
      before = value
    }
  }
  return total
}
