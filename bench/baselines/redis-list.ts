/** A list with one element per ticket: LPOP is atomic, and who pops has a ticket; the order is written down after. */
import type { MakeBaseline } from './baseline.ts'
import { connectRedis, ORDERS, STOCK } from './redis.ts'

const PAGE = 10_000

export const redisList: MakeBaseline = async ({ store, stock, isFirst }) => {
  const redis = connectRedis(store)
  const push = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at += PAGE) {
      await redis.rpush(STOCK, ...Array.from({ length: Math.min(PAGE, count - at) }, (_, n) => `ticket-${at + n}`))
    }
  }
  if (isFirst) await push(stock)
  return {
    async buy(buyer, key) {
      const ticket = await redis.lpop(STOCK)
      if (ticket === null) return 'refused'
      await redis.hset(ORDERS, `${key} ${ticket}`, buyer)
      return 'won'
    },
    giveBack: push,
    async count() {
      return { remaining: await redis.llen(STOCK), sold: await redis.hlen(ORDERS) }
    },
  }
}
