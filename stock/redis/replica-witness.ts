/**
 * Asks Redis whether replicas have what it has acknowledged, on a connection of its own: WAIT holds up whatever else
 * is sent on its connection.
 *
 * WAIT counts replicas that have what *its* connection caused, and counts them at once on a connection that caused
 * nothing. So each round first runs the witness script, which checks that the store is the one that judged and leaves
 * a mark, and only then waits, over the same socket.
 *
 * Rounds do not overlap. Whoever asks while one is under way is part of the next, so that many batches share one.
 */
import type { Version } from '../core/words.ts'
import type { ReplicasReply, Stopped } from '../port.ts'
import { connect, type Connection, type ConnectionOptions } from './connection.ts'
import { saleKeys } from './keys.ts'
import { parseWire, stoppedOf } from './wire.ts'

type Answer = ReplicasReply | Stopped

interface Waiter {
  readonly saleId: string
  readonly seen: Version
  readonly replicas: number
  resolve(answer: Answer): void
  reject(error: unknown): void
}

const REPLICATED: Answer = { outcome: 'replicated' }
const LAGGING: Answer = { outcome: 'lagging' }

export class ReplicaWitness {
  readonly #options: ConnectionOptions
  #connection: Promise<Connection> | null = null
  #waiters: Waiter[] = []
  #isRunning = false
  #isClosed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  ask(saleId: string, seen: Version, replicas: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ saleId, seen, replicas, resolve, reject })
      if (!this.#isRunning) void this.#run()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const connection = await this.#connection?.catch(() => null)
    connection?.close()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#waiters.length > 0) {
      const waiters = this.#waiters
      this.#waiters = []
      try {
        await this.#round(waiters)
      } catch (error) {
        for (const waiter of waiters) waiter.reject(error)
      }
    }
    this.#isRunning = false
  }

  async #round(waiters: readonly Waiter[]): Promise<void> {
    const connection = await this.#connect()
    const faults = await Promise.all(waiters.map(({ saleId, seen }) => witness(connection, saleId, seen)))
    const most = Math.max(...waiters.map(({ replicas }) => replicas))
    // This goes on in the very turn in which the last of them was answered, so over the same socket; cut before its
    // reply, the round fails.
    const counted = await this.#wait(connection, most)
    for (const [place, waiter] of waiters.entries()) {
      waiter.resolve(faults[place] ?? (counted >= waiter.replicas ? REPLICATED : LAGGING))
    }
  }

  async #wait(connection: Connection, replicas: number): Promise<number> {
    // WAIT itself must end before its reply counts as missing.
    return Number(await connection.call('WAIT', replicas, Math.ceil(this.#options.commandTimeoutMs / 2)))
  }

  #connect(): Promise<Connection> {
    if (this.#isClosed) throw new Error('the store is closed')
    this.#connection ??= connect(this.#options).catch((error: unknown) => {
      this.#connection = null
      throw error
    })
    return this.#connection
  }
}

async function witness(connection: Connection, saleId: string, seen: Version): Promise<Stopped | null> {
  return stoppedOf(parseWire(await connection.run('witness', [saleKeys(saleId).sale], [seen.era, seen.seq])))
}
