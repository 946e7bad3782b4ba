import { connectRedisStock } from '../../stock/redis/redis-stock.ts'
import { Confirmer } from '../ratios/confirmer.ts'
import { openSale, startRedis } from '../ratios/site.ts'
import type { Question } from './question.ts'

const SIZES = [1, 8, 32, 128]

export const confirmScript: Question = {
  name: 'confirm-script',
  asks: 'What does a ticket cost in the confirm script by the size of its batch, way to Redis and back included?',
  async prepare(directory) {
    const redis = await startRedis(directory, 'off')
    const stock = await connectRedisStock({ url: redis.url, commandTimeoutMs: 5000 })
    await openSale(stock, 1_000_000_000)
    const confirmer = await Confirmer.join(stock, 'micro')
    return {
      tasks: [
        { name: 'PING, for comparison', timesPerCall: 1, run: async () => void (await redis.client.ping()) },
        ...SIZES.map((size) => ({
          name: `batch of ${size}`,
          timesPerCall: size,
          run: () => confirmer.confirm(size),
        })),
      ],
      async end() {
        await stock.close()
        await redis.stop()
      },
    }
  },
}
