/**
 * A stock port over the in-memory twin whose calls are slow, break off and overtake each other, by a seed.
 *
 * What can happen to a call, and what the caller is told:
 *
 *   `fine`          executed, answered after a while; replies may overtake each other
 *   `refused`       not sent at all                        StoreError, not_executed
 *   `lost_before`   the connection broke before execution  StoreError, unknown
 *   `lost_after`    the connection broke after execution   StoreError, unknown
 *   `late`          the reply timed out; it is executed afterwards, perhaps after the caller joined anew
 *                                                          StoreError, unknown
 */
import type { Random } from '../../runtime/random.ts'
import { type SaleStore, type StockPort, StoreError } from '../../stock/port.ts'

export type Fate = 'fine' | 'refused' | 'lost_before' | 'lost_after' | 'late'
export const TROUBLES: readonly Fate[] = ['refused', 'lost_before', 'lost_after', 'late']
/** Only these are disturbed: they are what a desk does all day. */
const DISTURBED = ['join', 'heartbeat', 'confirm', 'scanBuyers'] as const

export interface Weather {
  /** Share of calls that meet trouble. */
  troubleShare: number
  /** Which troubles there are. */
  troubles: readonly Fate[]
  /** Longest way to the store, and back. */
  latencyMs: number
  /** Calls are not executed before this; the store hangs. */
  stalledUntilMs: number
}

export function faultyPort(
  port: StockPort,
  weather: Weather,
  random: Random,
  nowMs: () => number,
  onExecuted: (verb: string) => void = () => {},
): StockPort {
  const sales = { ...port.sales }
  for (const verb of DISTURBED) disturb(sales, verb)
  return { ...port, sales }

  function disturb(target: SaleStore, verb: (typeof DISTURBED)[number]): void {
    const real = port.sales[verb] as (...args: unknown[]) => Promise<unknown>
    const execute = async (args: unknown[]): Promise<unknown> => {
      await sleep(Math.max(weather.stalledUntilMs - nowMs(), 0) + random.below(weather.latencyMs))
      const reply = structuredClone(await real(...structuredClone(args)))
      onExecuted(verb)
      return reply
    }
    const call = async (...args: unknown[]): Promise<unknown> => {
      switch (drawFate(weather, random)) {
        case 'refused':
          throw new StoreError('unreachable', 'not_executed', `${verb}: not connected`)
        case 'lost_before':
          await sleep(random.below(weather.latencyMs))
          throw new StoreError('unreachable', 'unknown', `${verb}: cut before it arrived`)
        case 'lost_after':
          await execute(args)
          throw new StoreError('unreachable', 'unknown', `${verb}: cut before the reply`)
        case 'late':
          void execute(args)
          throw new StoreError('timeout', 'unknown', `${verb}: Command timed out`)
        case 'fine': {
          const reply = await execute(args)
          await sleep(random.below(weather.latencyMs))
          return reply
        }
      }
    }
    Object.assign(target, { [verb]: call })
  }
}

function drawFate(weather: Weather, random: Random): Fate {
  if (random.next() >= weather.troubleShare) return 'fine'
  return weather.troubles[random.below(weather.troubles.length)] ?? 'fine'
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
