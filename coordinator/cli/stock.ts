/** Opens the Redis behind the port; the only place of the command line that knows which port it is. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { StockPort } from '../../stock/port.ts'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'

export function connectStock(url: string, commandTimeoutMs: number): Promise<StockPort> {
  return connectRedisStock({ url, commandTimeoutMs })
}

/** For somebody who waits: a Redis that is stopped takes connections and says nothing. Rejects when time is up. */
export async function connectStockWithin(url: string, commandTimeoutMs: number, withinMs: number): Promise<StockPort> {
  const connecting = connectStock(url, commandTimeoutMs)
  const timer = new AbortController()
  const late = sleep(withinMs, null, { signal: timer.signal }).catch(() => null)
  const port = await Promise.race([connecting, late]).finally(() => timer.abort())
  if (port !== null) return port
  connecting.then(
    (unwanted) => unwanted.close(),
    () => undefined,
  )
  throw new Error(`Redis takes connections and does not answer within ${withinMs} ms`)
}
