/**
 * A Redis of the test's own behind a proxy, on a small disk of its own, as durable as the default `ack` asks for; it may
 * die, also of a full disk, and be started again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { freePort } from '../../runtime/free-ports.ts'
import { mountSmallDisk, type SmallDisk } from '../small-disk.ts'
import { withStore } from '../store.ts'
import { until } from '../wait.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Far more than a run of an hour writes between two rewrites. */
const DISK_MB = 256

export class OwnRedis {
  readonly proxy: TcpProxy
  readonly #disk: SmallDisk
  readonly #port: number
  #server: ChildProcess
  #turn: Promise<void> = Promise.resolve()

  private constructor(disk: SmallDisk, port: number, server: ChildProcess, proxy: TcpProxy) {
    this.#disk = disk
    this.#port = port
    this.#server = server
    this.proxy = proxy
  }

  static async start(): Promise<OwnRedis> {
    const disk = mountSmallDisk(DISK_MB)
    const port = await freePort()
    const proxy = await TcpProxy.start(() => port)
    const redis = new OwnRedis(disk, port, spawnServer(disk.path, port), proxy)
    await redis.#untilReady()
    return redis
  }

  /** Through the proxy. */
  get url(): string {
    return `redis://127.0.0.1:${this.proxy.port}`
  }

  /** Dies with -9 and is started again by hand; of two at once the second waits for the first. */
  dieAndReturn(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#restart())
    return this.#turn
  }

  /** Its disk has no room: with fsync on every write the server ends by itself. Then there is room again. */
  fillDisk(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#fillAndRestart())
    return this.#turn
  }

  async end(): Promise<void> {
    await this.proxy.close()
    // What went wrong in it was told where it was waited for.
    await this.#turn.catch(() => {})
    await this.#kill()
    this.#disk.unmount()
  }

  async #fillAndRestart(): Promise<void> {
    const server = this.#server
    this.#disk.fill()
    try {
      // Everybody writes to Redis a few times a second, also between purchases.
      await until('Redis to end by itself', () => server.exitCode !== null || server.signalCode !== null)
    } finally {
      this.#disk.empty()
    }
    await this.#restart()
  }

  async #restart(): Promise<void> {
    await this.#kill()
    this.#server = spawnServer(this.#disk.path, this.#port)
    await this.#untilReady()
  }

  async #kill(): Promise<void> {
    if (this.#server.exitCode !== null || this.#server.signalCode !== null) return
    const gone = once(this.#server, 'exit')
    this.#server.kill('SIGKILL')
    await gone
  }

  async #untilReady(): Promise<void> {
    await until('Redis to answer', () =>
      withStore(`redis://127.0.0.1:${this.#port}`, async (redis) => (await redis.ping()) === 'PONG').catch(() => false),
    )
  }
}

function spawnServer(directory: string, port: number): ChildProcess {
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction', '--save', '']
  return spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, ...durable], {
    stdio: 'ignore',
  })
}
