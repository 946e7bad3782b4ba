/** A Redis of the test's own behind a proxy, as durable as the default `ack` asks for; it may die and be started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../free-port.ts'
import { withStore } from '../store.ts'
import { until } from '../wait.ts'
import { TcpProxy } from './tcp-proxy.ts'

export class OwnRedis {
  readonly proxy: TcpProxy
  readonly #directory: string
  readonly #port: number
  #server: ChildProcess
  #turn: Promise<void> = Promise.resolve()

  private constructor(directory: string, port: number, server: ChildProcess, proxy: TcpProxy) {
    this.#directory = directory
    this.#port = port
    this.#server = server
    this.proxy = proxy
  }

  static async start(): Promise<OwnRedis> {
    const directory = mkdtempSync(join(tmpdir(), 'farebox-chaos-'))
    const port = await freePort()
    const proxy = await TcpProxy.start(() => port)
    const redis = new OwnRedis(directory, port, spawnServer(directory, port), proxy)
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

  async end(): Promise<void> {
    await this.proxy.close()
    await this.#turn
    await this.#kill()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #restart(): Promise<void> {
    await this.#kill()
    this.#server = spawnServer(this.#directory, this.#port)
    await this.#untilReady()
  }

  async #kill(): Promise<void> {
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
