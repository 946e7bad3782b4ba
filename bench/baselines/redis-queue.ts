/** Requests go into a queue, and one worker takes them out one after the other; the first process has the worker. */
import type { Baseline, MakeBaseline, Sold } from './baseline.ts'
import { connectRedis, countCounter, ORDERS, STOCK } from './redis.ts'

const QUEUE = 'baseline:queue'
const ANSWERS = 'baseline:answers'
const GIVE_UP_MS = 1000

export const redisQueue: MakeBaseline = async ({ store, stock, isFirst }) => {
  const redis = connectRedis(store)
  const waiting = new Map<string, (sold: Sold) => void>()
  const listener = connectRedis(store, false)
  await listener.subscribe(ANSWERS)
  listener.on('message', (_channel: string, text: string) => {
    const [request = '', sold] = text.split(' ')
    waiting.get(request)?.(sold as Sold)
    waiting.delete(request)
  })
  if (isFirst) {
    await redis.set(STOCK, stock)
    void work(store)
  }
  let requests = 0
  return {
    buy(buyer, key) {
      requests += 1
      const request = `${process.pid}-${requests}`
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => waiting.delete(request) && resolve('again'), GIVE_UP_MS)
        waiting.set(request, (sold) => {
          clearTimeout(timer)
          resolve(sold)
        })
        redis.rpush(QUEUE, [request, key, buyer].join(' ')).catch(reject)
      })
    },
    giveBack: async (count) => void (await redis.incrby(STOCK, count)),
    count: () => countCounter(redis),
  } satisfies Baseline
}

async function work(store: string): Promise<never> {
  const queue = connectRedis(store, false)
  const redis = connectRedis(store)
  for (let left = Number(await redis.get(STOCK)); ; left = Number(await redis.get(STOCK))) {
    const [request, key = '', buyer = ''] = (await queue.blpop(QUEUE, 0))?.[1].split(' ') ?? []
    const sold: Sold = left > 0 ? 'won' : 'refused'
    if (sold === 'won') await Promise.all([redis.decr(STOCK), redis.hset(ORDERS, `${key} ${request}`, buyer)])
    void redis.publish(ANSWERS, `${request} ${sold}`)
  }
}
