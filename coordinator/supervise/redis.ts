/**
 * The cluster's own Redis, as durable as the default `ack` promises: an answer is sent after the AOF was synced.
 *
 * An operator may start it again by hand with `redis-server CONFIG`; it then has a pid that the cluster file does
 * not know, so it is looked for by its port and its configuration file.
 */
import { mkdirSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { writeAtomically } from '../../loadbalancer/atomic-file.ts'
import { identify, isAlive } from '../../runtime/process-identity.ts'
import type { ProcessIdentity } from '../../runtime/process-identity.ts'
import { waitFor } from '../../loadbalancer/wait.ts'
import { ClusterFailure } from './failure.ts'
import { lastLines, startProcess } from './processes.ts'

/**
 * A rewrite forks the server and writes all its data once more, and would come in the middle of a rush, as that is when
 * the file grows: this leaves room for the orders of a million tickets. Why not more: decision 0047.
 */
const AOF_REWRITE_FROM = '256mb'

export function redisConfigPath(dir: string): string {
  return join(dir, 'redis', 'redis.conf')
}

export function redisConfig(dir: string, port: number): string {
  return [
    '# Written by "farebox up". Start by hand, with its data: redis-server <this file>',
    `port ${port}`,
    'bind 127.0.0.1',
    'protected-mode yes',
    'daemonize no',
    `dir "${join(dir, 'redis')}"`,
    'appendonly yes',
    'appendfsync always',
    'no-appendfsync-on-rewrite no',
    'auto-aof-rewrite-percentage 100',
    `auto-aof-rewrite-min-size ${AOF_REWRITE_FROM}`,
    'save ""',
    'maxmemory-policy noeviction',
    '',
  ].join('\n')
}

export async function startRedis(dir: string, port: number): Promise<ProcessIdentity> {
  mkdirSync(join(dir, 'redis'), { recursive: true })
  writeAtomically(redisConfigPath(dir), redisConfig(dir, port))
  return startProcess(dir, { name: 'redis', program: 'redis-server', args: [redisConfigPath(dir)] })
}

/** Waits until it answers PING, which it refuses while it loads its data. */
export async function waitForRedis(
  dir: string,
  port: number,
  process: ProcessIdentity,
  deadlineMs: number,
): Promise<void> {
  try {
    await waitFor(
      async () => {
        if (!isAlive(process)) throw new Error('it ended')
        return (await ask(port, 'PING').catch(() => '')) === '+PONG'
      },
      { deadlineMs, what: 'PONG' },
    )
  } catch (error) {
    throw new ClusterFailure(
      'process_failed',
      `redis did not become ready. Its log ends with:\n${lastLines(dir, 'redis')}`,
      { process: 'redis' },
      error,
    )
  }
}

/** Whoever serves our configuration on our port now; null when nobody does. */
export async function findRedis(dir: string, url: string): Promise<ProcessIdentity | null> {
  const info = await ask(Number(new URL(url).port), 'INFO server').catch(() => '')
  const field = (name: string) => new RegExp(`^${name}:(.*)\r$`, 'm').exec(info)?.[1]
  if (field('config_file') !== redisConfigPath(dir)) return null
  return identify(Number(field('process_id')))
}

/** One inline command; the reply's text without the protocol's frame. */
function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`))
    let text = ''
    socket.setTimeout(1000, () => socket.destroy(new Error('no answer')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    socket.on('data', (chunk) => {
      text += chunk.toString()
      const bulk = /^\$(\d+)\r\n/.exec(text)
      const complete = bulk ? text.length >= bulk[0].length + Number(bulk[1]) + 2 : text.endsWith('\r\n')
      if (!complete) return
      resolve(bulk ? text.slice(bulk[0].length) : text.trim())
      socket.destroy()
    })
  })
}
