/**
 * Where Redis is: `redis://…` and `rediss://…` as ioredis reads them, or a group that Sentinels watch, as
 * `redis+sentinel://[user:password@]host:port,host:port/NAME`. The password is that of the data servers.
 */
const SENTINEL = /^redis\+sentinel:\/\/(?:([^@/]*)@)?([^/@]+)\/([^/]+)$/
const SENTINEL_PORT = 26_379
/** How often the Sentinels are asked again while none names a master that answers. */
const ASK_AGAIN_MS = 100
/** A Sentinel that accepts and does not answer is passed over after this; without it, it would be asked for ever. */
const SENTINEL_ANSWERS_WITHIN_MS = 500
/** How long a server that the Sentinels gave up gets to agree that its connection ends. */
const LEAVE_WITHIN_MS = 100

export interface SentinelOptions {
  readonly sentinels: { readonly host: string; readonly port: number }[]
  readonly name: string
  readonly failoverDetector: boolean
  readonly sentinelRetryStrategy: () => number
  readonly sentinelReconnectStrategy: () => number
  readonly sentinelCommandTimeout: number
  readonly disconnectTimeout: number
  readonly username?: string
  readonly password?: string
}

export type RedisAddress =
  { readonly kind: 'server'; readonly url: string } | { readonly kind: 'sentinels'; readonly options: SentinelOptions }

export function parseRedisAddress(url: string): RedisAddress {
  if (!url.startsWith('redis+sentinel:')) return { kind: 'server', url }
  const [, credentials = '', hosts = '', name = ''] = SENTINEL.exec(url) ?? []
  if (name === '') throw new Error('an address of Sentinels has the form redis+sentinel://host:port,host:port/NAME')
  const [username = '', password = ''] = credentials.split(':', 2).map(decodeURIComponent)
  return {
    kind: 'sentinels',
    options: {
      sentinels: hosts.split(',').map(parseHost),
      name,
      // Whoever was master before a failover may go on answering: leave it as soon as the Sentinels say so.
      failoverDetector: true,
      sentinelRetryStrategy: () => ASK_AGAIN_MS,
      // For those that are listened to. By default ioredis comes back after a minute, deaf to failovers until then.
      sentinelReconnectStrategy: () => ASK_AGAIN_MS,
      sentinelCommandTimeout: SENTINEL_ANSWERS_WITHIN_MS,
      disconnectTimeout: LEAVE_WITHIN_MS,
      ...(username === '' ? {} : { username }),
      ...(password === '' ? {} : { password }),
    },
  }
}

function parseHost(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  if (at === -1) return { host: text, port: SENTINEL_PORT }
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) }
}
