/**
 * One process's connection to the store, with all that a network does to it. What the process is told is what our
 * Redis connection tells: `not_executed` when it is not connected, `unknown` when a reply does not come. A command
 * may be carried out long after its caller was told that, by then perhaps a newer incarnation.
 *
 * Requests and replies keep their order, as on one TCP connection, except where the weather says otherwise: a
 * command that a broken connection left behind overtakes nothing, it arrives late.
 */
import { StoreError, type StockPort } from '../stock/port.ts'
import type { Host } from './host.ts'
import type { Kernel } from './kernel.ts'
import type { StoreCluster } from './store-cluster.ts'
import type { StoreRoom, StoreServer } from './store-server.ts'
import type { Weather } from './weather.ts'

const COMMAND_TIMEOUT_MS = 1000
const RECONNECT_MS_MAX = 250
/** A command that went astray is carried out by then, or never. */
export const LATE_MS_MAX = 3000

interface Call {
  readonly room: StoreRoom
  readonly verb: string
  readonly args: readonly unknown[]
  readonly server: StoreServer
  readonly life: number
  readonly sentMs: number
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: StoreError) => void
  isDone: boolean
  /** How long its reply takes; 0 for as long as any. */
  replyMs: number
}

/** Hears with what. */
type Asked = (args: readonly unknown[]) => void

export class StoreLink {
  weather: Weather
  readonly port: StockPort
  readonly #host: Host
  readonly #kernel: Kernel
  readonly #cluster: StoreCluster
  #server: StoreServer | null = null
  #open = new Set<Call>()
  #lastArrivalMs = 0
  #lastReplyMs = 0
  /** One-way partitions: what was sent waits, and arrives when they end, or never. */
  #cut: { readonly to: boolean; readonly from: boolean; readonly onEffect: () => void } | null = null
  #heldBack: (() => void)[] = []
  /** Commands that travel, late ones of broken connections included. */
  #underWay = 0
  #isConnecting = false
  #isWatching = false
  #awaited: { readonly room: StoreRoom; readonly verb: string; readonly act: Asked } | null = null
  /** What {@link whenAsked} waited for. */
  #asked: Call | null = null

  constructor(host: Host, cluster: StoreCluster) {
    this.weather = cluster.calm
    this.#host = host
    this.#kernel = host.kernel
    this.#cluster = cluster
    this.port = this.#makePort()
    this.connect()
  }

  /** Calls `act` when this is next asked, before anybody can have heard of it. */
  whenAsked(room: StoreRoom, verb: string, act: Asked): void {
    this.#awaited = { room, verb, act }
  }

  /** The reply to what was asked just now ({@link whenAsked}) takes so long, whatever else is answered meanwhile. */
  delayReply(ms: number): void {
    if (this.#asked !== null) this.#asked.replyMs = ms
  }

  /** Some command of this process may yet be carried out. */
  get hasCommandsUnderWay(): boolean {
    return this.#underWay > 0 || this.#heldBack.length > 0
  }

  get isCut(): boolean {
    return this.#cut !== null
  }

  /** Also after the host's restart: a new life has no open calls. */
  connect(): void {
    this.#server = null
    this.#open = new Set()
    this.#isConnecting = false
    this.#isWatching = false
    this.#reconnect(1)
  }

  cut(cut: { readonly to: boolean; readonly from: boolean; readonly onEffect: () => void }): void {
    this.#cut = cut
  }

  /** What was held back arrives now, or was lost with its connection. */
  mend(isLost: boolean): void {
    this.#cut = null
    const heldBack = this.#heldBack
    this.#heldBack = []
    if (!isLost) for (const deliver of heldBack) this.#kernel.schedule(null, this.#latency(), 'mended', deliver)
  }

  /** The server's side of the connection is gone. */
  onGone(server: StoreServer): void {
    if (this.#server === server && this.#cluster.addressFor(this.#host.id) !== server) this.#break()
  }

  /** Everything open is unknown from here on, and the next connection may be to another server. */
  #break(): void {
    this.#server = null
    for (const call of this.#open) {
      this.#kernel.schedule(this.#host, 0, 'broken', () => this.#fail(call, 'unreachable', 'connection lost'))
    }
    this.#reconnect(20 + this.#kernel.random.below(RECONNECT_MS_MAX))
  }

  #reconnect(delayMs: number): void {
    if (this.#isConnecting) return
    this.#isConnecting = true
    this.#kernel.schedule(this.#host, delayMs, 'connect', () => {
      this.#isConnecting = false
      const server = this.#cluster.addressFor(this.#host.id)
      if (server === null || this.#cut !== null) this.#reconnect(20 + this.#kernel.random.below(RECONNECT_MS_MAX))
      else this.#server = server
    })
  }

  #call(room: StoreRoom, verb: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const server = this.#server
      if (server === null) {
        reject(storeError('unreachable', 'not_executed', 'not connected'))
        return
      }
      const { life } = this.#host
      const sentMs = this.#kernel.nowMs
      const call: Call = { room, verb, args, server, life, sentMs, resolve, reject, isDone: false, replyMs: 0 }
      this.#open.add(call)
      if (!this.#isWatching) this.#watch()
      this.#send(call)
      const awaited = this.#awaited
      if (awaited === null || awaited.room !== room || awaited.verb !== verb) return
      this.#awaited = null
      this.#asked = call
      awaited.act(args)
      this.#asked = null
    })
  }

  /** All wait equally long, so the oldest open call is due first. */
  #watch(): void {
    const [oldest] = this.#open
    this.#isWatching = oldest !== undefined
    if (oldest === undefined) return
    const dueMs = oldest.sentMs + COMMAND_TIMEOUT_MS
    this.#kernel.schedule(this.#host, dueMs - this.#kernel.nowMs, 'timeout', () => {
      this.#fail(oldest, 'timeout', 'Command timed out')
      for (const call of this.#open) {
        if (call.sentMs + COMMAND_TIMEOUT_MS > this.#kernel.nowMs) break
        this.#fail(call, 'timeout', 'Command timed out')
      }
      this.#watch()
    })
  }

  #send(call: Call): void {
    const { weather } = this
    const draw = this.#kernel.random.next()
    let bound = weather.cutShare
    if (draw < bound) {
      weather.onEffect()
      const { random } = this.#kernel
      const arrivesMs = random.next() < 0.5 ? this.#latency() : random.below(LATE_MS_MAX)
      if (random.next() < 0.7) this.#arriveAfter(arrivesMs, call, false)
      this.#break()
      return
    }
    bound += weather.lateShare
    if (draw < bound) {
      weather.onEffect()
      this.#arriveAfter(this.#kernel.random.below(LATE_MS_MAX), call, true)
      return
    }
    bound += weather.twiceShare
    const isAnswered = draw >= bound + weather.noReplyShare
    if (draw < bound) {
      weather.onEffect()
      this.#arriveAfter(this.#kernel.random.below(LATE_MS_MAX), call, false)
    } else if (!isAnswered) weather.onEffect()
    const atMs = this.#inOrder(this.#lastArrivalMs)
    this.#lastArrivalMs = atMs
    this.#arriveAfter(atMs - this.#kernel.nowMs, call, isAnswered)
  }

  #arriveAfter(delayMs: number, call: Call, isAnswered: boolean): void {
    this.#underWay += 1
    this.#kernel.schedule(null, delayMs, call.verb, () => {
      this.#underWay -= 1
      this.#arrive(call, isAnswered)
    })
  }

  #arrive(call: Call, isAnswered: boolean): void {
    if (this.#cut?.to === true) {
      this.#cut.onEffect()
      this.#heldBack.push(() => this.#arrive(call, isAnswered))
      return
    }
    const { nowMs } = this.#kernel
    if (call.server.takesAt(nowMs)) this.#carryOut(call, isAnswered)
    else call.server.receive(() => this.#carryOut(call, isAnswered), nowMs)
  }

  #carryOut(call: Call, isAnswered: boolean): void {
    const { server, room, verb, args } = call
    const onReply = (reply: unknown): void => {
      if (isAnswered) this.#reply(call, () => this.#finish(call, reply))
    }
    if (verb === 'durability') onReply({ fingerprint: server.fingerprint, durable: true, faults: [] })
    else {
      this.#cluster.execute(server, room, verb, args, onReply, (error) => {
        if (isAnswered) this.#reply(call, () => this.#fail(call, 'corrupt', String(error), 'not_executed'))
      })
    }
  }

  #reply(call: Call, deliver: () => void): void {
    const { replyMs } = call
    const atMs = replyMs > 0 ? this.#kernel.nowMs + replyMs : this.#inOrder(this.#lastReplyMs)
    if (replyMs === 0) this.#lastReplyMs = atMs
    if (call.life !== this.#host.life) return
    this.#kernel.schedule(this.#host, atMs - this.#kernel.nowMs, 'reply', () => {
      if (this.#cut?.from === true) {
        this.#cut.onEffect()
        this.#heldBack.push(() => this.#kernel.schedule(this.#host, 0, 'reply', deliver))
        return
      }
      deliver()
    })
  }

  #inOrder(lastMs: number): number {
    const atMs = this.#kernel.nowMs + this.#latency()
    return this.weather.isReordering ? atMs : Math.max(atMs, lastMs)
  }

  #latency(): number {
    return this.weather.latencyMs * (0.1 + this.#kernel.random.next())
  }

  #finish(call: Call, reply: unknown): void {
    if (call.isDone || call.life !== this.#host.life) return
    call.isDone = true
    this.#open.delete(call)
    call.resolve(reply)
  }

  #fail(call: Call, code: StoreError['code'], message: string, outcome: StoreError['outcome'] = 'unknown'): void {
    if (call.isDone || call.life !== this.#host.life) return
    call.isDone = true
    this.#open.delete(call)
    call.reject(storeError(code, outcome, message))
  }

  #makePort(): StockPort {
    const { stock } = this.#cluster.primary
    const proxy = (room: StoreRoom): unknown =>
      Object.fromEntries(
        Object.keys(stock[room]).map((verb) => [verb, (...args: unknown[]) => this.#call(room, verb, args)]),
      )
    const durability = (): Promise<unknown> => this.#call('sales', 'durability', [])
    const port = { sales: proxy('sales'), fleet: proxy('fleet'), durability, close: () => Promise.resolve() }
    return port as unknown as StockPort
  }
}

/** Without a stack: a store that is away makes thousands of them, and all are made here. */
function storeError(...about: ConstructorParameters<typeof StoreError>): StoreError {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const error = new StoreError(...about)
  Error.stackTraceLimit = stackTraceLimit
  return error
}
