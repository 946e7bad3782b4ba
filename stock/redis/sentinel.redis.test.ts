/** What ioredis by itself would not survive: a failover told in the wrong moment, a Sentinel that hangs. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { startTestRedis, type TestRedis } from '../conformance/test-redis.ts'
import { connect, type Connection } from './connection.ts'

const CHANNEL = '+switch-master'
const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

/** Speaks just enough to be asked for the primary and followed; says nothing where it is silent. */
class FakeSentinel {
  asked = 0
  /** What it does not answer, for now. */
  silent: 'nothing' | 'questions' | 'everything' = 'nothing'
  readonly #primaryPort: number
  readonly #followers = new Set<Socket>()
  readonly #sockets = new Set<Socket>()
  readonly #held: (() => void)[] = []
  readonly #listener: Server

  private constructor(primaryPort: number) {
    this.#primaryPort = primaryPort
    this.#listener = createServer((socket) => this.#accept(socket))
  }

  static async start(primaryPort: number): Promise<FakeSentinel> {
    const sentinel = new FakeSentinel(primaryPort)
    sentinel.#listener.listen(0, '127.0.0.1')
    await once(sentinel.#listener, 'listening')
    return sentinel
  }

  get host(): string {
    return `127.0.0.1:${(this.#listener.address() as AddressInfo).port}`
  }

  get followers(): number {
    return this.#followers.size
  }

  tellFailover(): void {
    for (const socket of this.#followers) socket.write(`>3\r\n${bulk('message')}${bulk(CHANNEL)}${bulk('tickets')}`)
  }

  speak(): void {
    this.silent = 'nothing'
    for (const answer of this.#held.splice(0)) answer()
  }

  async end(): Promise<void> {
    const closed = once(this.#listener, 'close')
    this.#listener.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#followers.delete(socket)
    })
    socket.on('data', (bytes) => {
      for (const command of commandsOf(String(bytes))) {
        const reply = this.#replyTo(command, socket)
        const answer = (): void => void (socket.writable && socket.write(reply))
        const isQuestion = command.startsWith('sentinel')
        if (this.silent === 'everything' || (this.silent === 'questions' && isQuestion)) this.#held.push(answer)
        else answer()
      }
    })
  }

  #replyTo(command: string, socket: Socket): string {
    if (command.startsWith('hello')) return `%1\r\n${bulk('proto')}:3\r\n`
    if (command.startsWith('subscribe')) {
      this.#followers.add(socket)
      return `>3\r\n${bulk('subscribe')}${bulk(CHANNEL)}:1\r\n`
    }
    if (command.startsWith('sentinel get-master-addr-by-name')) {
      this.asked += 1
      return `*2\r\n${bulk('127.0.0.1')}${bulk(String(this.#primaryPort))}`
    }
    return command.startsWith('sentinel') ? '*0\r\n' : '+OK\r\n'
  }
}

/** Of one chunk: clients that send little send whole commands. */
function commandsOf(text: string): string[] {
  return text
    .split(/^\*\d+\r\n/m)
    .filter(Boolean)
    .map((one) =>
      one
        .split('\r\n')
        .filter((_, at) => at % 2 === 1)
        .join(' ')
        .toLowerCase(),
    )
}

let redis: TestRedis
let sentinels: FakeSentinel[] = []
let connection: Connection | null = null
beforeAll(async () => {
  redis = await startTestRedis()
})
afterAll(() => redis.stop())
beforeEach(async () => {
  const port = Number(new URL(redis.url).port)
  sentinels = [await FakeSentinel.start(port), await FakeSentinel.start(port)]
})
afterEach(async () => {
  connection?.close()
  await Promise.all(sentinels.map((sentinel) => sentinel.end()))
})

function open(): Promise<Connection> {
  const hosts = sentinels.map(({ host }) => host).join(',')
  return connect({ url: `redis+sentinel://${hosts}/tickets`, commandTimeoutMs: 1000 })
}

it('comes back when a failover is told while it asks for the primary', async () => {
  connection = await open()
  await expect.poll(() => sentinels.map(({ followers }) => followers)).toEqual([1, 1])
  for (const sentinel of sentinels) sentinel.silent = 'questions'
  await connection.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no').catch(() => null)
  await expect.poll(() => sentinels.reduce((sum, { asked }) => sum + asked, 0)).toBe(2)
  for (const sentinel of sentinels) sentinel.tellFailover()
  for (const sentinel of sentinels) sentinel.speak()
  await expect.poll(() => connection?.isReady(), { timeout: 5000 }).toBe(true)
  expect(await connection.call('PING')).toBe('PONG')
})

it('asks the next Sentinel when one accepts and does not answer', async () => {
  const [first] = sentinels
  if (first !== undefined) first.silent = 'everything'
  connection = await open()
  expect(await connection.call('PING')).toBe('PONG')
})
