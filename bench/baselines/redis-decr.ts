/** DECR, and who gets a number below zero came too late. The order is written down afterwards. */
import type { MakeBaseline } from './baseline.ts'
import { connectRedis, ORDERS, STOCK } from './redis.ts'

export const redisDecr: MakeBaseline = async ({ store, stock, isFirst }) => {
  const redis = connectRedis(store)
  if (isFirst) await redis.set(STOCK, stock)
  return {
    async buy(buyer, key) {
      const left = await redis.decr(STOCK)
      if (left < 0) return 'refused'
      await redis.hset(ORDERS, `${key} ${left}`, buyer)
      return 'won'
    },
    // The counter went on falling with every refusal; what comes back is added to that.
    giveBack: async (count) => void (await redis.incrby(STOCK, count)),
    async count() {
      const [left, sold] = await Promise.all([redis.get(STOCK), redis.hlen(ORDERS)])
      return { remaining: Math.max(0, Number(left ?? Number.NaN)), sold }
    },
  }
}
