/** A connection to Redis as the baselines use it: commands of one turn of the event loop go out together. */
import { Redis } from 'ioredis'

export function connectRedis(url: string, enableAutoPipelining = true): Redis {
  const redis = new Redis(url, { enableAutoPipelining, maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  return redis
}

export const STOCK = 'baseline:stock'
export const ORDERS = 'baseline:orders'

/** A counter and a hash of orders by key: how all that do not differ in it keep their sale. */
export async function countCounter(redis: Redis): Promise<{ remaining: number; sold: number }> {
  const [remaining, sold] = await Promise.all([redis.get(STOCK), redis.hlen(ORDERS)])
  return { remaining: Number(remaining ?? Number.NaN), sold }
}
