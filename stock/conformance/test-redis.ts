/** A Redis server of a test's own: free port, own directory, ended by its pid. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from '../../runtime/free-ports.ts'

export interface TestRedis {
  readonly url: string
  readonly process: ChildProcess
  stop(): Promise<void>
}

const START_DEADLINE_MS = 10_000

export async function startTestRedis(settings: readonly string[] = ['--appendonly', 'no']): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'farebox-redis-'))
  const port = await freePort()
  const server = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', ...settings],
    { stdio: 'ignore' },
  )
  const exited = once(server, 'exit')
  const url = `redis://127.0.0.1:${port}`
  await answers(url)
  return {
    url,
    process: server,
    async stop() {
      server.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<void> {
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on('error', () => {})
  const late = AbortSignal.timeout(START_DEADLINE_MS)
  const reply = await Promise.race([client.ping(), once(late, 'abort').then(() => null)])
  client.disconnect()
  if (reply !== 'PONG') throw new Error(`redis-server did not answer at ${url} within ${START_DEADLINE_MS} ms`)
}
