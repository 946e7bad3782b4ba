/** Buyers who come at a steady rate while something is done to the fleet, each of them once. */
import http from 'node:http'
import { buyOnce, type Attempt, type Purchase } from './client.ts'
import { wishOf, type Buyer } from './rush.ts'
import { pause } from './wait.ts'

/** Whom a load is for, and where what happened is written down. */
export interface Custom {
  readonly url: string
  /** Those who have not bought yet: a load takes from the end. */
  readonly buyers: Buyer[]
  /** All that any buyer did. */
  readonly history: Purchase[]
}

/** Buyers come at a steady rate, whatever the answers are, until it is told to end; none sends anything twice. */
export class SteadyLoad {
  readonly attempts: Attempt[] = []
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  readonly #custom: Custom
  readonly #everyMs: number
  #isOver = false
  #ranDry = false
  readonly #running: Promise<void>

  private constructor(custom: Custom, perSecond: number) {
    this.#custom = custom
    this.#everyMs = 1000 / perSecond
    this.#running = this.#run()
  }

  /**
   * Does something under load, and ends the load whatever comes of it.
   * @returns what the act returned, and what was not a purchase, one line each.
   */
  static async during<T>(
    custom: Custom,
    perSecond: number,
    act: (load: SteadyLoad) => Promise<T>,
  ): Promise<{ readonly result: T; readonly failed: readonly string[] }> {
    const load = new SteadyLoad(custom, perSecond)
    let result: T
    try {
      result = await act(load)
    } finally {
      await load.#end()
    }
    const failed = load.attempts.flatMap(({ status, code, fault }) =>
      status === 201 ? [] : [`${status} ${code ?? ''} ${fault ?? ''}`],
    )
    return { result, failed: load.#ranDry ? [...failed, 'no buyer was left'] : failed }
  }

  async #run(): Promise<void> {
    const open = new Set<Promise<void>>()
    const startMs = performance.now()
    for (let sent = 0; !this.#isOver; sent += 1) {
      const buyer = this.#custom.buyers.pop()
      if (buyer === undefined) {
        this.#ranDry = true
        break
      }
      const one = this.#buy(buyer).finally(() => open.delete(one))
      open.add(one)
      await pause(Math.max(0, startMs + (sent + 1) * this.#everyMs - performance.now()))
    }
    await Promise.all(open)
  }

  async #buy(buyer: Buyer): Promise<void> {
    const wish = wishOf(buyer)
    const attempt = await buyOnce(wish, this.#custom.url, this.#agent)
    this.attempts.push(attempt)
    this.#custom.history.push({ ...wish, attempts: [attempt] })
  }

  async #end(): Promise<void> {
    this.#isOver = true
    await this.#running
    this.#agent.destroy()
  }
}
