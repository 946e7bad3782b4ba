/**
 * Chaos with real processes: kills, pauses, a wire to Redis that swallows replies, stalls and breaks, failovers by death
 * and by partition, a full disk, a ledger that is away, all at once, while buyers keep coming. Here three rounds;
 * `npm run chaos` for more, or for one again.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../orders/ledger/conformance/test-postgres.ts'
import { KeptRow } from '../../sim/kept-row.ts'
import { Cluster } from '../cluster.ts'
import { say } from '../rush.ts'
import { failovers, killed, ledgerFaults, paused, redisFaults, reloadNginx, rollingRestart } from './faults.ts'
import { OwnRedis } from './own-redis.ts'
import { chaosRound, report, type Stage } from './round.ts'
import { SentinelGroup } from './sentinel-group.ts'
import { Tally } from './tally.ts'

const setting = (name: string, preset: number): number => Number(process.env[name] ?? preset)
/** With one Redis; and with Sentinels, each with a failover by death and one by partition. */
const ROUNDS = setting('CHAOS_ROUNDS', 2)
const SENTINEL_ROUNDS = setting('CHAOS_SENTINEL_ROUNDS', 1)
const FIRST_SEED = setting('CHAOS_SEED', 1)
const RECORD = process.env['CHAOS_RECORD']
const ROUND_MS = 180_000

const KILLS = [killed('node'), killed('node'), killed('orders'), killed('coordinator')]
const PAUSES = [paused('node', 300, 3000), paused('orders', 300, 1500), paused('coordinator', 300, 3000)]
const tally = new Tally()
const kept = RECORD === undefined ? null : new KeptRow(RECORD)

function seeds(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

async function playRound(stage: Stage | null, seed: number): Promise<void> {
  if (stage === null) throw new Error('the cluster did not start')
  try {
    const round = await chaosRound(stage, seed)
    report(round)
    tally.add(round)
    expect(round.violations).toEqual([])
  } catch (error) {
    if (!(error instanceof Error && error.name === 'AssertionError')) {
      tally.addBroken()
      say(`seed ${seed}: BROKEN OFF: ${String(error)}`)
    }
    throw error
  } finally {
    kept?.write(tally.cells)
  }
}

describe.runIf(SENTINEL_ROUNDS > 0)('chaos, Redis watched by Sentinels, ack: ledger', () => {
  let group: SentinelGroup
  let postgres: TestPostgres
  let stage: Stage | null = null
  beforeAll(async () => {
    group = await SentinelGroup.start()
    postgres = await startTestPostgres()
    const config = `ack: ledger\nredis: { url: '${group.url}' }\nledger: { url: '${await postgres.database()}' }\n`
    const cluster = await Cluster.up({ nodes: 4, restart: true, config })
    const { byKill, byPartition } = failovers(group)
    const ledger = ledgerFaults(postgres)
    stage = {
      cluster,
      draws: [
        { from: [byKill, byPartition], count: 2 },
        { from: KILLS, count: 3 },
        { from: PAUSES, count: 2 },
        { from: [ledger.silent, ledger.killed, rollingRestart, reloadNginx], count: 1 },
      ],
      heal: () => group.heal(),
    }
  })
  afterAll(async () => {
    await stage?.cluster.end()
    await postgres.stop()
    await group.end()
  })

  it.each(seeds(FIRST_SEED, SENTINEL_ROUNDS))('breaks no promise (seed %i)', (seed) => playRound(stage, seed), ROUND_MS)
})

describe.runIf(ROUNDS > 0)('chaos, one Redis, ack: redis', () => {
  let redis: OwnRedis
  let postgres: TestPostgres
  let stage: Stage | null = null
  beforeAll(async () => {
    redis = await OwnRedis.start()
    postgres = await startTestPostgres()
    const config = `redis: { url: '${redis.url}' }\nledger: { url: '${await postgres.database()}' }\n`
    const cluster = await Cluster.up({ nodes: 4, restart: true, config })
    const faults = redisFaults(redis)
    const ledger = ledgerFaults(postgres)
    stage = {
      cluster,
      draws: [
        { from: [...KILLS, faults.killed, faults.killed, ledger.killed], count: 8 },
        { from: PAUSES, count: 4 },
        { from: [faults.dropReplies], count: 5 },
        { from: [faults.diskFull], count: 1 },
        { from: [...faults.wires, ledger.silent, rollingRestart, reloadNginx], count: 2 },
      ],
      heal: () => redis.proxy.heal(),
    }
  })
  afterAll(async () => {
    await stage?.cluster.end()
    await postgres.stop()
    await redis.end()
  })

  it.each(seeds(FIRST_SEED + SENTINEL_ROUNDS, ROUNDS))(
    'breaks no promise (seed %i)',
    (seed) => playRound(stage, seed),
    ROUND_MS,
  )
})

describe('chaos', () => {
  it('really struck', () => {
    say(`struck: ${tally.text}`)
    expect(tally.times('kill -9')).toBeGreaterThanOrEqual(8 * ROUNDS + 4 * SENTINEL_ROUNDS)
    expect(tally.times('pause')).toBeGreaterThanOrEqual(4 * ROUNDS + 2 * SENTINEL_ROUNDS)
    expect(tally.times('drop replies')).toBeGreaterThanOrEqual(250 * ROUNDS)
    expect(tally.failovers).toBeGreaterThanOrEqual(2 * SENTINEL_ROUNDS)
    expect(tally.times('partition primary')).toBeGreaterThanOrEqual(SENTINEL_ROUNDS)
  })
})
