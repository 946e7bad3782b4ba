/** Somebody with a live connection; writes down everything that comes, and when. */
import { Value } from 'typebox/value'
import { WebSocket } from 'ws'
import { LiveMessage } from '../http/live-messages.ts'
import { until } from './wait.ts'

export interface Heard {
  readonly atMs: number
  readonly type: 'availability' | 'auth' | 'order'
  /** Of an availability: tickets of its first fare. */
  readonly remaining: number | null
  readonly state: string | null
  readonly availability: string | null
  /** Of an order. */
  readonly orderId: string | null
}

export class Listener {
  readonly heard: Heard[] = []
  /** The code with which it was closed; 0: refused before it opened. */
  closed: number | null = null
  readonly #socket: WebSocket

  /** `site` is an http URL. */
  constructor(site: string, saleId: string, origin?: string) {
    const url = `${site.replace('http', 'ws')}/api/live?sale=${saleId}`
    this.#socket = new WebSocket(url, origin === undefined ? {} : { origin })
    this.#socket.on('message', (data: Buffer) => this.#hear(data.toString()))
    this.#socket.on('close', (code) => (this.closed ??= code))
    this.#socket.on('error', () => {
      if (this.heard.length === 0) this.closed = 0
    })
  }

  get types(): string[] {
    return this.heard.map(({ type, state }) => (type === 'order' ? `order ${state}` : type))
  }

  get remaining(): number | null {
    return this.heard.findLast(({ type }) => type === 'availability')?.remaining ?? null
  }

  async ready(): Promise<this> {
    await until('the first live message', () => this.heard.length > 0)
    return this
  }

  /** Resolves with the code. */
  async end(): Promise<number> {
    await until('the live connection to be closed', () => this.closed !== null)
    return this.closed ?? -1
  }

  say(message: unknown): void {
    this.#socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  signIn(token: string): void {
    this.say({ type: 'auth', token })
  }

  drop(): void {
    this.#socket.terminate()
  }

  #hear(text: string): void {
    const message: unknown = JSON.parse(text)
    if (!Value.Check(LiveMessage, message)) throw new Error(`not as the schema says: ${text}`)
    const { type } = message
    const fare = type === 'availability' ? message.fares[0] : undefined
    this.heard.push({
      atMs: performance.now(),
      type,
      remaining: fare?.remaining ?? null,
      availability: fare?.availability ?? null,
      state: type === 'availability' ? message.state : type === 'order' ? message.order.state : null,
      orderId: type === 'order' ? message.order.id : null,
    })
  }
}
