/**
 * One simulated store server: the in-memory twin, and the log of everything written to it.
 *
 * The log is what a disk or a replica has of it. A copy that lacks the newest entries (a replica that lags, a disk
 * that lost bytes, a backup) is made by carrying out a part of the log again on an empty twin, each entry with the
 * clock and the fingerprint that it was first carried out with.
 */
import { compareVersions, type Order, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import type { SaleRecord } from '../stock/core/sale-record.ts'
import { createMemoryStock, type MemoryStock } from '../stock/memory/memory-stock.ts'

export type StoreRoom = 'sales' | 'fleet'
type Verbs = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>

interface Entry {
  readonly room: StoreRoom
  readonly verb: string
  readonly args: readonly unknown[]
  readonly storeMs: number
  readonly fingerprint: string
  /** Virtual time. */
  readonly atMs: number
  /** What it took the sale to; null for what changed nothing, as refusals and signs of life. */
  changedTo: Version | null
}

/** Verbs that write nothing, and so are in no log. */
const READS: ReadonlySet<string> = new Set([
  'read',
  'readOrders',
  'readOrdersOf',
  'readBuyer',
  'scanOrders',
  'scanBuyers',
])

export class StoreServer {
  readonly id: string
  fingerprint: string
  isUp = true
  /** Commands that arrive wait until then; virtual time. */
  stalledUntilMs = 0
  #waiting: (() => void)[] = []
  /** How far its clock is off. */
  clockOffsetMs = 0
  log: Entry[] = []
  stock: MemoryStock
  readonly #context = { storeMs: 0, fingerprint: '' }

  constructor(id: string, fingerprint: string) {
    this.id = id
    this.fingerprint = fingerprint
    this.stock = this.#empty()
  }

  /** Carries out what arrives: at once, after the stall, or never if it dies first. */
  receive(command: () => void, atMs: number): void {
    if (!this.isUp) return
    if (this.takesAt(atMs)) command()
    else this.#waiting.push(command)
  }

  /** Whether it carries out at once what arrives now. */
  takesAt(atMs: number): boolean {
    return this.isUp && atMs >= this.stalledUntilMs
  }

  /** The stall is over: what waited, in the order in which it came. */
  goOn(): readonly (() => void)[] {
    this.stalledUntilMs = 0
    const waiting = this.#waiting
    this.#waiting = []
    return waiting
  }

  /** Its connections go with it, and what it had not read of them. */
  die(): void {
    this.isUp = false
    this.stalledUntilMs = 0
    this.#waiting = []
  }

  /** The effect is immediate; the promise only carries the reply. */
  execute(room: StoreRoom, verb: string, args: readonly unknown[], storeMs: number, atMs: number): Promise<unknown> {
    this.#context.storeMs = storeMs
    this.#context.fingerprint = this.fingerprint
    if (READS.has(verb) || (verb === 'readEvents' && !this.#isBehind(args))) return this.#perform(room, verb, args)
    const entry: Entry = { changedTo: null, room, verb, args, storeMs, fingerprint: this.fingerprint, atMs }
    this.log.push(entry)
    const record = this.#record()
    const [era, seq] = [record?.era, record?.seq]
    const reply = this.#perform(room, verb, args)
    const after = this.#record()
    if (after?.seq !== seq || after?.era !== era) entry.changedTo = this.#version()
    return reply
  }

  /** Whether every change of the sale that another log has up to this version is here, too. */
  hasChangesOf(other: readonly Entry[], upTo: Version): boolean {
    // An entry is one object in every log that has it, and logs that share one share all before it.
    const last = other.findLastIndex(({ changedTo }) => changedTo !== null && compareVersions(changedTo, upTo) <= 0)
    return last < 0 || this.log[last] === other[last]
  }

  /** Whoever reads events from further on than the store has come makes it write that down. */
  #isBehind([, after]: readonly unknown[]): boolean {
    return compareVersions(this.#version(), after as Version) < 0
  }

  /** Of the sale. */
  get seq(): number {
    return this.#version().seq
  }

  /** Of the only sale. */
  #record(): SaleRecord | undefined {
    return this.stock.saleRecords.values().next().value
  }

  #version(): Version {
    const record = this.#record()
    return record === undefined ? VERSION_ZERO : { era: record.era, seq: record.seq }
  }

  /** How many entries a copy has that is so much behind. */
  entriesUntil(atMs: number): number {
    let count = this.log.length
    while (count > 0 && (this.log[count - 1]?.atMs ?? 0) > atMs) count -= 1
    return count
  }

  /** The same of a copy that has come to this version of the sale, and not beyond. */
  entriesUpTo(version: Version): number {
    const beyond = this.log.findIndex(({ changedTo }) => changedTo !== null && compareVersions(changedTo, version) > 0)
    return beyond < 0 ? this.log.length : beyond
  }

  /** Becomes what the first entries of a log make of an empty store. */
  become(log: readonly Entry[], count: number): void {
    this.stock = this.#empty()
    this.log = log.slice(0, count)
    for (const { room, verb, args, storeMs, fingerprint } of this.log) {
      this.#context.storeMs = storeMs
      this.#context.fingerprint = fingerprint
      this.#perform(room, verb, args).catch(() => {})
    }
  }

  #perform(room: StoreRoom, verb: string, args: readonly unknown[]): Promise<unknown> {
    const perform = (this.stock[room] as unknown as Verbs)[verb]
    if (perform === undefined) throw new Error(`the store has no verb ${room}.${verb}`)
    return perform(...args)
  }

  #empty(): MemoryStock {
    const context = this.#context
    return createMemoryStock({ nowMs: () => context.storeMs, fingerprint: () => context.fingerprint })
  }
}

/** Every order's state, by id. */
export type OrderStates = ReadonlyMap<string, Order['state']>

export function orderStates(stock: MemoryStock): OrderStates {
  const states = new Map<string, Order['state']>()
  for (const { orders } of stock.saleRecords.values())
    for (const order of orders.values()) states.set(order.id, order.state)
  return states
}

/** Orders that the one has and the other has not, or has in another state. */
export function ordersMissing(from: MemoryStock, to: OrderStates): string[] {
  return [...orderStates(from)].filter(([id, state]) => to.get(id) !== state).map(([id]) => id)
}
