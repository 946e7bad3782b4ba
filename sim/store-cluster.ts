/**
 * The store as a deployment: one primary, copies of it that lag, and what can happen to them.
 *
 * A new life (restart, promotion) has a new fingerprint; a copy restored in place has the old one. Every order that
 * a life had and the next has not is written down here as lost, with the fault that took it: that is the world's own
 * knowledge, which no process of the cluster has.
 */
import type { Kernel } from './kernel.ts'
import { WALL_START_MS } from './host.ts'
import { compareVersions, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import { calmWeather, type Weather } from './weather.ts'
import { orderStates, type OrderStates, ordersMissing, StoreServer, type StoreRoom } from './store-server.ts'

/** What took acknowledged writes away; `ack` says which of them it survives. */
export type LossKind = 'unsynced' | 'older_copy' | 'failover' | 'split_brain' | 'return_to_old'

export interface Loss {
  readonly kind: LossKind
  readonly atMs: number
  /** Entries of the log that were lost. */
  readonly entries: number
  /** Processes that ran just then and had seen clearly more than the store has now. */
  readonly knowers: readonly string[]
  /** Versions of the lost history, above the first and up to the second, that the next one gave again. */
  readonly givenAgain: readonly [after: number, upTo: number] | null
  /** A server that has all of it that they had seen came back as primary, and no sale was certified in between. */
  isUndone: boolean
}

export class StoreCluster {
  primary: StoreServer
  /** A primary that was replaced and does not know it; some still talk to it. */
  stale: {
    readonly server: StoreServer
    readonly hosts: ReadonlySet<string>
    /** What the two histories have in common: the orders when they parted. */
    readonly common: OrderStates
    readonly atEntries: number
  } | null = null
  /** When two primaries took writes at once. */
  readonly splits: { readonly fromMs: number; toMs: number }[] = []
  /** By order id: the loss that took it last. */
  readonly lost = new Map<string, Loss>()
  readonly losses: Loss[] = []
  /** By loss: the whole log from which entries were lost, and the most that anybody had seen of it. */
  readonly #lostFrom = new Map<Loss, { readonly log: StoreServer['log']; readonly seen: Version }>()
  #certifiedAtMs = Number.NEGATIVE_INFINITY
  /** Whoever holds connections hears that a server answers no more. */
  onGone: (server: StoreServer) => void = () => {}
  /** After every command that was carried out. */
  onExecuted: (server: StoreServer, room: StoreRoom, verb: string, args: readonly unknown[], reply: unknown) => void =
    () => {}
  /** Who has seen more than the primary has. */
  whoKnowsMore: (kind: LossKind) => readonly { readonly id: string; readonly seen: Version }[] = () => []
  /** After the data of a server were replaced. */
  onReplaced: () => void = () => {}
  /** The network while nothing is wrong with it. */
  readonly calm: Weather
  readonly #kernel: Kernel
  #lives = 0

  constructor(kernel: Kernel, latencyMs: number, isReordering: boolean) {
    this.#kernel = kernel
    this.calm = calmWeather(latencyMs, isReordering)
    this.primary = new StoreServer('store-1', this.#newFingerprint())
  }

  /** The server that a host finds when it connects; null while it is down. */
  addressFor(hostId: string): StoreServer | null {
    const { stale, primary } = this
    const server = stale !== null && stale.hosts.has(hostId) ? stale.server : primary
    return server.isUp ? server : null
  }

  nowMs(server: StoreServer): number {
    return Math.floor(WALL_START_MS + this.#kernel.nowMs + server.clockOffsetMs)
  }

  /** Carries out at once; the reply comes in the same event. */
  execute(
    server: StoreServer,
    room: StoreRoom,
    verb: string,
    args: readonly unknown[],
    onReply: ((reply: unknown) => void) | null = null,
    onError: ((error: unknown) => void) | null = null,
  ): void {
    const storeMs = this.nowMs(server)
    const reply = server.execute(room, verb, args, storeMs, this.#kernel.nowMs)
    if (room === 'sales' && verb === 'certify') this.#certifiedAtMs = this.#kernel.nowMs
    const tell = (value: unknown): void => {
      this.onExecuted(server, room, verb, args, value)
      onReply?.(value)
    }
    void reply.then(tell, onError)
  }

  /** Commands that arrive meanwhile wait for its end. */
  stall(forMs: number): void {
    const { primary } = this
    primary.stalledUntilMs = this.#kernel.nowMs + forMs
    this.#kernel.schedule(null, forMs, 'goes on', () => {
      if (this.#kernel.nowMs >= primary.stalledUntilMs) this.#goOn(primary)
    })
  }

  endStall(): void {
    this.#goOn(this.primary)
  }

  /** Each command on its own, so that a witness sees what it did before the next. */
  #goOn(server: StoreServer): void {
    for (const command of server.goOn()) {
      this.#kernel.schedule(null, 0, 'waited', () => server.receive(command, this.#kernel.nowMs))
    }
  }

  goDown(): void {
    this.primary.die()
    this.onGone(this.primary)
  }

  /** A new life with what the disk has: everything, or all but the newest entries. */
  comeUp(lostEntries: number): void {
    this.#replace('unsynced', this.primary.log.length - lostEntries, this.#newFingerprint())
    this.primary.isUp = true
  }

  /** A sale is being put together: a copy from the middle of that would be opened as it is (docs/simulation.md). */
  get isUniting(): boolean {
    return [...this.primary.stock.saleRecords.values()].some(({ union }) => union !== null)
  }

  /** An older copy in the place of the present one, in the same life. */
  restoreInPlace(entries: number): void {
    this.#replace('older_copy', entries, this.primary.fingerprint)
  }

  /** A replica that has so many entries becomes the primary; the old one answers nobody any more. */
  failOver(kind: LossKind, entries: number): StoreServer {
    const old = this.primary
    this.#promote(entries)
    this.#writeLoss(kind, old, orderStates(this.primary.stock), old.log.length - entries)
    old.die()
    this.onGone(old)
    return old
  }

  /** A replica is promoted while these hosts still talk to the old primary. */
  splitBrain(entries: number, hosts: ReadonlySet<string>): void {
    const old = this.primary
    this.#promote(entries)
    this.splits.push({ fromMs: this.#kernel.nowMs, toMs: Number.POSITIVE_INFINITY })
    this.stale = { server: old, hosts, common: orderStates(this.primary.stock), atEntries: entries }
    this.onGone(old)
  }

  /** The old primary learns that it is none, and throws its own history away. */
  healSplit(): void {
    const { stale } = this
    if (stale === null) return
    this.stale = null
    const split = this.splits.at(-1)
    if (split !== undefined) split.toMs = this.#kernel.nowMs
    this.#writeLoss('split_brain', stale.server, stale.common, stale.server.log.length - stale.atEntries)
    stale.server.die()
    this.onGone(stale.server)
  }

  /** A server that was primary before comes back as primary, as it was then: its old data, its old fingerprint. */
  returnTo(old: StoreServer): void {
    const present = this.primary
    this.primary = old
    old.isUp = true
    for (const [loss, { log, seen }] of this.#lostFrom) {
      if (loss.atMs > this.#certifiedAtMs && old.hasChangesOf(log, seen)) loss.isUndone = true
    }
    this.#writeLoss('return_to_old', present, orderStates(old.stock), present.log.length)
    present.die()
    this.onGone(present)
    this.onReplaced()
  }

  #promote(entries: number): void {
    const old = this.primary
    const server = new StoreServer(`store-${this.#lives + 1}`, this.#newFingerprint())
    server.become(old.log, entries)
    server.clockOffsetMs = old.clockOffsetMs
    this.primary = server
    this.onReplaced()
  }

  #replace(kind: LossKind, entries: number, fingerprint: string): void {
    const { primary } = this
    const before = { stock: primary.stock, log: primary.log }
    const seqBefore = primary.seq
    const lostEntries = primary.log.length - entries
    if (lostEntries > 0) primary.become(primary.log, entries)
    primary.fingerprint = fingerprint
    // Another fingerprint means another era, so that nothing is given again.
    const givenAgain = kind === 'older_copy' ? ([primary.seq, seqBefore] as const) : null
    this.#writeLoss(kind, before, orderStates(primary.stock), lostEntries, givenAgain)
    this.onReplaced()
  }

  #writeLoss(
    kind: LossKind,
    from: Pick<StoreServer, 'stock' | 'log'>,
    to: OrderStates,
    entries: number,
    givenAgain: Loss['givenAgain'] = null,
  ): void {
    if (entries === 0) return
    const knowing = this.whoKnowsMore(kind)
    const knowers = knowing.map(({ id }) => id)
    const loss: Loss = { kind, atMs: this.#kernel.nowMs, entries, knowers, givenAgain, isUndone: false }
    this.losses.push(loss)
    const [seen] = knowing.map((one) => one.seen).toSorted((a, b) => compareVersions(b, a))
    this.#lostFrom.set(loss, { log: from.log, seen: seen ?? VERSION_ZERO })
    for (const orderId of ordersMissing(from.stock, to)) this.lost.set(orderId, loss)
  }

  #newFingerprint(): string {
    this.#lives += 1
    return `life-${this.#lives}`
  }
}
