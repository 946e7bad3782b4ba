/** The threads that sign and draw tickets, behind a queue with a bound. */
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'

export interface IssuedTicket {
  readonly code: string
  /** A whole SVG document. */
  readonly qrSvg: string
}

export interface TicketPoolOptions {
  /** Default 1: beside everything else that a machine does, one draws some hundred tickets a second. */
  readonly threads?: number
  /** Orders that wait for a thread; more are refused. Default 256. */
  readonly queueMax?: number
}

interface Task {
  readonly bodies: readonly Uint8Array[]
  readonly privateKeyPem: string
}

/** Too many wait already. */
export class TicketPoolBusy extends Error {
  override readonly name = 'TicketPoolBusy'
}

const IDLE_TIMEOUT_MS = 60_000

export class TicketPool {
  readonly #pool: Piscina<Task, IssuedTicket[]>
  readonly #queueMax: number

  constructor({ threads = 1, queueMax = 256 }: TicketPoolOptions = {}) {
    this.#queueMax = queueMax
    this.#pool = new Piscina<Task, IssuedTicket[]>({
      filename: fileURLToPath(new URL('ticket-worker.mjs', import.meta.url)),
      minThreads: 0,
      maxThreads: threads,
      maxQueue: queueMax,
      idleTimeout: IDLE_TIMEOUT_MS,
    })
  }

  /** Orders waiting for a thread. */
  get queueLength(): number {
    return this.#pool.queueSize
  }

  /** One ticket for each body, in their order. Rejects with {@link TicketPoolBusy}. */
  async issue(bodies: readonly Uint8Array[], privateKeyPem: string): Promise<readonly IssuedTicket[]> {
    if (this.#pool.queueSize >= this.#queueMax) throw new TicketPoolBusy('too many tickets are being drawn')
    return this.#pool.run({ bodies, privateKeyPem })
  }

  /** Lets what was begun finish; what only waits is refused. */
  close(): Promise<void> {
    return this.#pool.close({ force: true })
  }
}
