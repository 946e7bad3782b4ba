/** A primary and a replica of a test's own, as an operator would run them beside the cluster. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../runtime/free-ports.ts'
import { ORDERS, withStore } from './store.ts'
import { until } from './wait.ts'

export interface RedisPair {
  /** Of the primary. */
  readonly url: string
  stopReplica(): void
  continueReplica(): void
  /** Asks the replica itself. */
  replicaHas(orderId: string): Promise<boolean>
  end(): Promise<void>
}

const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction', '--save', '']

export async function startRedisPair(): Promise<RedisPair> {
  const directory = mkdtempSync(join(tmpdir(), 'farebox-pair-'))
  const [port, replicaPort] = await Promise.all([freePort(), freePort()])
  const replicaUrl = `redis://127.0.0.1:${replicaPort}`
  const primary = startServer(directory, port, ['--repl-diskless-sync-delay', '0'])
  const replica = startServer(directory, replicaPort, ['--replicaof', '127.0.0.1', String(port)])
  await until('the replica to follow', async () => {
    const info = await withStore(replicaUrl, (redis) => redis.info('replication')).catch(() => '')
    return info.includes('master_link_status:up')
  })
  return {
    url: `redis://127.0.0.1:${port}`,
    stopReplica: () => void replica.kill('SIGSTOP'),
    continueReplica: () => void replica.kill('SIGCONT'),
    replicaHas: (orderId) => withStore(replicaUrl, async (redis) => (await redis.hexists(ORDERS, orderId)) === 1),
    async end() {
      for (const server of [replica, primary]) {
        const gone = once(server, 'exit')
        server.kill('SIGKILL')
        await gone
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function startServer(directory: string, port: number, settings: readonly string[]): ChildProcess {
  const own = mkdtempSync(join(directory, 'server-'))
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', own, ...DURABLE, ...settings]
  return spawn('redis-server', args, { stdio: 'ignore' })
}
