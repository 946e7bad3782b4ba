/** A replica of a bench's Redis, as durable as it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../runtime/free-ports.ts'
import type { RedisStock } from '../../stock/redis/redis-stock.ts'
import { LOAD_CORE, start, until } from '../cluster/processes.ts'
import type { RedisSite } from './site.ts'

const FOLLOWS_WITHIN_MS = 30_000
const DURABLE = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes', '--appendfsync', 'always']

/** On the load's core: it has a machine of its own in production. Resolves when it follows; what is returned ends it. */
export async function startReplica(
  directory: string,
  primary: RedisSite,
  stock: Pick<RedisStock, 'durability'>,
): Promise<() => Promise<void>> {
  const own = mkdtempSync(join(directory, 'replica-'))
  const { hostname, port } = new URL(primary.url)
  // It would wait five seconds for more replicas before it copies.
  await primary.client.config('SET', 'repl-diskless-sync-delay', '0')
  const server = start({
    core: LOAD_CORE,
    program: 'redis-server',
    args: ['--port', String(await freePort()), '--dir', own, '--replicaof', hostname, port, ...DURABLE],
    logPath: join(own, 'log'),
  })
  await until('the replica', FOLLOWS_WITHIN_MS, async () => (await stock.durability()).replicas >= 1)
  return async () => {
    await server.stop()
    rmSync(own, { recursive: true, force: true })
  }
}
