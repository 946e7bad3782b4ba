/**
 * One connection to Redis that never sends anything twice by itself.
 *
 * ioredis by default repeats commands after a reconnect, also writes that were already carried out. Here a command
 * whose reply is missing fails at once with outcome `unknown`, and the caller decides: the node keeps the item,
 * fences the old copy by joining anew, and sends the same item again.
 */
import { Redis } from 'ioredis'
import { StoreError } from '../port.ts'
import { parseRedisAddress } from './address.ts'
import { commandName, scriptDefinitions, type ScriptName, type World } from './scripts.ts'

export interface ConnectionOptions {
  readonly url: string
  /** How long a reply may take before the outcome counts as unknown. */
  readonly commandTimeoutMs: number
  /** For measurements only: ioredis writes the commands of one tick together. */
  readonly autoPipelining?: boolean
  readonly world?: World
  /** For tests that plant a fault in a script. */
  readonly editScript?: (name: ScriptName, lua: string) => string
}

export type Reply = string | number | null | readonly Reply[]

export interface Connection {
  run(script: ScriptName, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply>
  call(command: string, ...args: (string | number)[]): Promise<Reply>
  isReady(): boolean
  close(): void
}

/** Reconnects for ever, quickly at first; while it is down every call fails at once as not executed. */
function reconnectDelayMs(attempt: number): number {
  return Math.min(20 * attempt, 250)
}

export async function connect(options: ConnectionOptions): Promise<Connection> {
  const address = parseRedisAddress(options.url)
  const settings = {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: options.commandTimeoutMs,
    connectTimeout: 2000,
    keepAlive: 5000,
    noDelay: true,
    enableAutoPipelining: options.autoPipelining ?? false,
    retryStrategy: reconnectDelayMs,
    scripts: scriptDefinitions(options.world ?? 'redis', options.editScript),
  }
  const client =
    address.kind === 'server' ? new Redis(address.url, settings) : new Redis({ ...settings, ...address.options })
  // Without a listener ioredis prints every failed reconnect; each failed call is reported where it was made.
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    client.disconnect()
    throw new StoreError('unreachable', 'not_executed', `no Redis answers at ${withoutPassword(options.url)}`, error)
  }
  // A primary that is silent may be none any more, and whoever said so may not have been heard: ask again.
  const onSilence = address.kind === 'sentinels' ? (): void => client.disconnect(true) : (): void => {}
  return wrap(client, { stop: neverEnd(client), onSilence })
}

/**
 * Until it is told to stop, by what is returned. ioredis gives up for good when the Sentinels tell of a failover in the
 * very moment in which it asks them for the primary, which is what it does after a primary died.
 */
function neverEnd(client: Redis): () => void {
  let isStopped = false
  const again = (): void => {
    if (isStopped || client.status !== 'end') return
    // When this fails as well, it is told by another `end`.
    client.connect().catch(() => {})
  }
  client.on('end', () => setTimeout(again, reconnectDelayMs(1)))
  return () => {
    isStopped = true
  }
}

type ScriptCommand = (...args: (string | number)[]) => Promise<Reply>

interface Care {
  readonly stop: () => void
  readonly onSilence: () => void
}

function wrap(client: Redis, { stop, onSilence }: Care): Connection {
  const commands = client as unknown as Record<string, ScriptCommand>
  const guarded = async (send: () => Promise<Reply>): Promise<Reply> => {
    if (client.status !== 'ready') {
      throw new StoreError('unreachable', 'not_executed', 'not connected to Redis')
    }
    try {
      return await send()
    } catch (error) {
      const failed = asStoreError(error)
      if (failed.code === 'timeout' && client.status === 'ready') onSilence()
      throw failed
    }
  }
  return {
    run(script, keys, args) {
      const command = commands[commandName(script)]
      if (command === undefined) throw new Error(`no script ${script}`)
      return guarded(() => command.call(client, ...keys, ...args))
    },
    call: (command, ...args) => guarded(() => client.call(command, ...args) as Promise<Reply>),
    isReady: () => client.status === 'ready',
    close() {
      stop()
      client.disconnect()
    },
  }
}

function asStoreError(error: unknown): StoreError {
  const message = error instanceof Error ? error.message : String(error)
  if (message.startsWith('STOCKLAW')) return new StoreError('corrupt', 'not_executed', message, error)
  if (message === 'Command timed out') return new StoreError('timeout', 'unknown', message, error)
  const isReply = error instanceof Error && error.name === 'ReplyError'
  return new StoreError(isReply ? 'refused' : 'unreachable', 'unknown', message, error)
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//***@')
}
