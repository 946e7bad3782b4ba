/** A lock per buyer in Redis, so that nobody buys twice at once; then the stock is read, and taken from. */
import type { MakeBaseline } from './baseline.ts'
import { connectRedis, countCounter, ORDERS, STOCK } from './redis.ts'

const LOCK_MS = 2000

export const redisUserLock: MakeBaseline = async ({ store, stock, isFirst }) => {
  const redis = connectRedis(store)
  if (isFirst) await redis.set(STOCK, stock)
  return {
    async buy(buyer, key) {
      const lock = `baseline:lock:${buyer}`
      if ((await redis.set(lock, key, 'PX', LOCK_MS, 'NX')) === null) return 'again'
      const [known, left] = await Promise.all([redis.hget(ORDERS, key), redis.get(STOCK)])
      if (known !== null || Number(left) < 1) {
        await redis.del(lock)
        return known !== null ? 'replayed' : 'refused'
      }
      // Between the look and the taking another buyer, with another lock, may have had the same look.
      await Promise.all([redis.decr(STOCK), redis.hset(ORDERS, key, buyer), redis.del(lock)])
      return 'won'
    },
    giveBack: async (count) => void (await redis.incrby(STOCK, count)),
    count: () => countCounter(redis),
  }
}
