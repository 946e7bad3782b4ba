/**
 * Chaos with real processes: kills, pauses, a wire to Redis that swallows replies, stalls and breaks, all at once, while
 * buyers keep coming. Here a few rounds; `npm run chaos -- --rounds 100 --seed 7` for more, or for one again.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cluster } from '../cluster.ts'
import { say } from '../rush.ts'
import { OwnRedis } from './own-redis.ts'
import { chaosRound, report } from './round.ts'

const ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? 4)
const FIRST_SEED = Number(process.env['CHAOS_SEED'] ?? 1)
const ROUND_MS = 180_000

let redis: OwnRedis
let cluster: Cluster
beforeAll(async () => {
  redis = await OwnRedis.start()
  cluster = await Cluster.up({ nodes: 4, restart: true, config: `redis: { url: '${redis.url}' }\n` })
})
afterAll(async () => {
  await cluster.end()
  await redis.end()
})

describe('chaos', () => {
  const struck = new Map<string, number>()
  const seeds = Array.from({ length: ROUNDS }, (_, index) => FIRST_SEED + index)

  it.each(seeds)(
    'breaks no promise (seed %i)',
    async (seed) => {
      const round = await chaosRound(cluster, redis, seed)
      report(round)
      for (const [name, times] of Object.entries(round.faults)) struck.set(name, (struck.get(name) ?? 0) + times)
      expect(round.violations).toEqual([])
    },
    ROUND_MS,
  )

  it('really struck', () => {
    const times = (prefix: string): number =>
      [...struck].reduce((sum, [name, count]) => (name.startsWith(prefix) ? sum + count : sum), 0)
    say(`struck: ${JSON.stringify(Object.fromEntries(struck))}`)
    expect(times('kill -9')).toBeGreaterThanOrEqual(6 * ROUNDS)
    expect(times('pause')).toBeGreaterThanOrEqual(3 * ROUNDS)
    expect(times('drop replies')).toBeGreaterThanOrEqual(120 * ROUNDS)
  })
})
