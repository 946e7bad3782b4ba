/** Opens the Redis behind the port; the only place of the command line that knows which port it is. */
import type { StockPort } from '../../stock/port.ts'
import { connectRedisStock } from '../../stock/redis/redis-stock.ts'

export function connectStock(url: string, commandTimeoutMs: number): Promise<StockPort> {
  return connectRedisStock({ url, commandTimeoutMs })
}
