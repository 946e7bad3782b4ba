/** Optimistic locking: WATCH the counter, read it, MULTI, write, EXEC; from the beginning when somebody was faster. */
import type { Redis } from 'ioredis'
import type { MakeBaseline } from './baseline.ts'
import { connectRedis, countCounter, ORDERS, STOCK } from './redis.ts'

/** WATCH belongs to a connection, so each purchase has one for itself meanwhile. */
const CONNECTIONS = 64
const TRIES_MAX = 1000

export const redisWatch: MakeBaseline = async ({ store, stock, isFirst }) => {
  const idle = Array.from({ length: CONNECTIONS }, () => connectRedis(store, false))
  const redis = connectRedis(store)
  if (isFirst) await redis.set(STOCK, stock)
  const waiting: ((connection: Redis) => void)[] = []
  const take = (): Promise<Redis> => {
    const free = idle.pop()
    return free === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(free)
  }
  const give = (connection: Redis): void => {
    const next = waiting.shift()
    if (next === undefined) idle.push(connection)
    else next(connection)
  }
  return {
    async buy(buyer, key) {
      const own = await take()
      try {
        for (let tries = 0; tries < TRIES_MAX; tries += 1) {
          const [, left, known] = await Promise.all([own.watch(STOCK), own.get(STOCK), own.hget(ORDERS, key)])
          if (known !== null || Number(left) < 1) {
            await own.unwatch()
            return known !== null ? 'replayed' : 'refused'
          }
          if ((await own.multi().decr(STOCK).hset(ORDERS, key, buyer).exec()) !== null) return 'won'
        }
        return 'again'
      } finally {
        give(own)
      }
    },
    giveBack: async (count) => void (await redis.incrby(STOCK, count)),
    count: () => countCounter(redis),
  }
}
