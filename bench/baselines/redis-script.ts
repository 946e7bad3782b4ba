/** One Lua call per purchase: looked up, judged and written in one atomic step. */
import type { MakeBaseline } from './baseline.ts'
import { connectRedis, countCounter, ORDERS, STOCK } from './redis.ts'

const SCRIPT = `
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 2 end
if tonumber(redis.call('GET', KEYS[1])) < 1 then return 0 end
redis.call('DECR', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1`
const ANSWERS = ['refused', 'won', 'replayed'] as const

export const redisScript: MakeBaseline = async ({ store, stock, isFirst }) => {
  const redis = connectRedis(store)
  if (isFirst) await redis.set(STOCK, stock)
  const digest = String(await redis.script('LOAD', SCRIPT))
  return {
    async buy(buyer, key) {
      return ANSWERS[Number(await redis.evalsha(digest, 2, STOCK, ORDERS, key, buyer))] ?? 'again'
    },
    giveBack: async (count) => void (await redis.incrby(STOCK, count)),
    count: () => countCounter(redis),
  }
}
