/** The stock port over Redis. */
import type { StockPort } from '../port.ts'
import { connect, type Connection, type ConnectionOptions } from './connection.ts'
import { listOf } from './records.ts'
import { redisFleet } from './redis-fleet.ts'
import { ReplicaWitness } from './replica-witness.ts'
import { redisSales } from './redis-sales.ts'

/** What makes an acknowledged write survive a power loss of the Redis machine, apart from its disk. */
const DURABLE_SETTINGS = [
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['no-appendfsync-on-rewrite', 'no'],
] as const

/** Other settings without which tickets may be lost or confirmed twice. */
const REQUIRED_SETTINGS = [['maxmemory-policy', 'noeviction']] as const

const LOWEST_MAJOR_VERSION = 7

export interface RedisStock extends StockPort {
  isReady(): boolean
}

export async function connectRedisStock(options: ConnectionOptions): Promise<RedisStock> {
  const connection = await connect(options)
  const witness = new ReplicaWitness(options)
  return {
    sales: redisSales(connection, witness),
    fleet: redisFleet(connection),
    durability: () => readDurability(connection),
    isReady: () => connection.isReady(),
    async close() {
      connection.close()
      await witness.close()
    },
  }
}

async function readDurability(connection: Connection): Promise<{
  fingerprint: string
  durable: boolean | null
  replicas: number
  faults: string[]
}> {
  const server = String(await connection.call('INFO', 'server'))
  const replication = String(await connection.call('INFO', 'replication'))
  const fingerprint = `${infoField(server, 'run_id')}:${infoField(replication, 'master_replid')}`
  const faults: string[] = []
  const version = infoField(server, 'redis_version')
  if (Number.parseInt(version, 10) < LOWEST_MAJOR_VERSION) {
    faults.push(`redis_version is ${version}, needs ${LOWEST_MAJOR_VERSION} or newer`)
  }
  let durable: boolean | null = true
  try {
    for (const [setting, wanted] of REQUIRED_SETTINGS) faults.push(...(await settingFault(connection, setting, wanted)))
    const lacking: string[] = []
    for (const [setting, wanted] of DURABLE_SETTINGS) lacking.push(...(await settingFault(connection, setting, wanted)))
    durable = lacking.length === 0
    faults.push(...lacking)
  } catch {
    durable = null
  }
  return { fingerprint, durable, replicas: Number(infoField(replication, 'connected_slaves')), faults }
}

async function settingFault(connection: Connection, setting: string, wanted: string): Promise<string[]> {
  const reply = await connection.call('CONFIG', 'GET', setting)
  const found = listOf<string>(reply)[1] ?? 'unknown'
  return found === wanted ? [] : [`${setting} is ${found}, needs ${wanted}`]
}

function infoField(info: string, field: string): string {
  return new RegExp(`^${field}:(\\S*)`, 'm').exec(info)?.[1] ?? ''
}
