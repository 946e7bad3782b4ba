/**
 * One sale on one node, as a pure state machine: what it has heard of the store, and what may happen to a wish.
 *
 * Intuition: a ticket window that was given some tickets to hand out before it must ask. While it has some, it
 * takes one off and sends the wish to be confirmed; when it has none, wishes wait in line; when it has heard, a
 * moment ago, that nothing is left anywhere, it says so by itself.
 *
 * Contract: a "no" from memory needs a zero (or a state) that is the newest heard and that a heartbeat confirmed
 * which was *sent* less than {@link FRESH_MS} ago, and a buyer who is known not to have won before. Everything
 * else goes to the store or waits. Nothing here reads a clock.
 */
import { FRESH_MS } from '../../stock/core/heard.ts'
import { compareVersions, type FareLevel, type SaleState, type Version, VERSION_ZERO } from '../../stock/core/words.ts'
import type { ConfirmReply, HeartbeatReply, JoinReply, SaleSnapshot } from '../../stock/port.ts'
import { FareQuota } from './fare-quota.ts'
import { StoreClock } from './store-clock.ts'
import { Winners } from './winners.ts'

/** What a buyer wants. */
export interface Asked {
  readonly buyer: string
  readonly fareId: string
  readonly quantity: number
  /** False where a repeat is impossible: the key was made for this very request, or the buyer is. */
  readonly mayRepeat: boolean
}

/** The same with what of it is deducted here. */
export interface Wish extends Asked {
  /** Tickets deducted for it; 0 while it waits, and for one that only asks. */
  deducted: number
  /** Counted among those that ask without a deduction. */
  asks: boolean
}

export type Refusal = 'not_open' | 'paused' | 'closed' | 'not_enough' | 'all_held' | 'sold_out' | 'bad_quantity'

export type Admission =
  /** Deducted, or allowed to ask: send it to the store. */
  | { readonly to: 'store' }
  /** In line; comes out of {@link SaleQuota.wake} or {@link SaleQuota.leave}. */
  | { readonly to: 'line' }
  | { readonly to: 'buyer'; readonly refusal: Refusal }
  /** A bound is reached: `busy`. */
  | { readonly to: 'nobody' }

const TO_STORE: Admission = { to: 'store' }
const TO_LINE: Admission = { to: 'line' }
const TO_NOBODY: Admission = { to: 'nobody' }
const REFUSALS: Readonly<Record<Refusal, Admission>> = {
  not_open: { to: 'buyer', refusal: 'not_open' },
  paused: { to: 'buyer', refusal: 'paused' },
  closed: { to: 'buyer', refusal: 'closed' },
  not_enough: { to: 'buyer', refusal: 'not_enough' },
  all_held: { to: 'buyer', refusal: 'all_held' },
  sold_out: { to: 'buyer', refusal: 'sold_out' },
  bad_quantity: { to: 'buyer', refusal: 'bad_quantity' },
}

export interface SaleQuotaBounds {
  /** Most wishes in line, all fares together. */
  readonly line: number
  /** Most wishes at a time that ask the store without a deduction. */
  readonly asking: number
}

export class SaleQuota<W extends Wish> {
  readonly clock = new StoreClock()
  readonly winners = new Winners()
  /** Highest version heard in any reply. */
  seen: Version = VERSION_ZERO
  /** Version up to which every fare has been heard. */
  synced: Version = VERSION_ZERO
  opensAtMs: number | null
  closesAtMs: number | null

  readonly #limitPerBuyer: number
  readonly #bounds: SaleQuotaBounds
  readonly #fares = new Map<string, FareQuota>()
  readonly #lines = new Map<string, W[]>()
  #lineLength = 0
  #asking = 0
  #state: SaleState = 'draft'
  #stateVersion: Version = VERSION_ZERO
  #stateSentMs = Number.NEGATIVE_INFINITY
  /** When the heartbeat was sent that last vouched for every fare. */
  #syncedSentMs = Number.NEGATIVE_INFINITY

  constructor(
    definition: {
      readonly limitPerBuyer: number
      readonly opensAtMs: number | null
      readonly closesAtMs: number | null
      readonly fares: readonly { readonly id: string }[]
    },
    bounds: SaleQuotaBounds,
  ) {
    this.#limitPerBuyer = definition.limitPerBuyer
    this.opensAtMs = definition.opensAtMs
    this.closesAtMs = definition.closesAtMs
    this.#bounds = bounds
    for (const { id } of definition.fares) {
      this.#fares.set(id, new FareQuota(id))
      this.#lines.set(id, [])
    }
  }

  get lineLength(): number {
    return this.#lineLength
  }

  get asking(): number {
    return this.#asking
  }

  /** As last heard, for showing. */
  get state(): SaleState {
    return this.#state
  }

  fares(): IterableIterator<FareQuota> {
    return this.#fares.values()
  }

  fare(fareId: string): FareQuota | undefined {
    return this.#fares.get(fareId)
  }

  /**
   * The "no" that memory allows, or null when the store must be asked. Changes nothing, so that most of a rush after
   * the last ticket is answered without anything made for it.
   */
  refusal(wish: Asked, nowMs: number): Refusal | null {
    const admission = this.#judge(wish, this.#fareOf(wish), nowMs)
    return admission !== null && admission.to === 'buyer' ? admission.refusal : null
  }

  /** Where does this wish go? Its fare must exist. */
  admit(wish: W, nowMs: number): Admission {
    const fare = this.#fareOf(wish)
    const judged = this.#judge(wish, fare, nowMs)
    if (judged === null) return this.#deductOrQueue(wish, fare)
    return judged.to === 'store' ? this.#ask(wish) : judged
  }

  /** By memory alone: refused, to be asked without a deduction (`store`), or null for the ordinary way. */
  #judge(wish: Asked, fare: FareQuota, nowMs: number): Admission | null {
    if (!isQuantity(wish.quantity, this.#limitPerBuyer)) {
      // The store judges first whether the key was used before; only then is the quantity wrong.
      return wish.mayRepeat ? TO_STORE : REFUSALS.bad_quantity
    }
    const door = this.#door(nowMs)
    if (door !== null) return this.#refuseOrAsk(wish, door, this.#stateVersion, this.#isStateFresh(nowMs))
    const shortage = shortageOf(fare, wish.quantity)
    if (shortage !== null) {
      const isFresh = this.#isFareFresh(fare, nowMs)
      if (isFresh || shortage !== 'not_enough') {
        return this.#refuseOrAsk(wish, shortage, fare.changedAt, isFresh)
      }
    }
    return null
  }

  /** The answer to a wish is known, or it will not be sent: its deduction goes back. */
  release(wish: W): void {
    if (wish.asks) {
      wish.asks = false
      this.#asking -= 1
    }
    if (wish.deducted === 0) return
    this.#fareOf(wish).restore(wish.deducted)
    wish.deducted = 0
  }

  /** Takes a wish out of its line; false when it is not in one. */
  leave(wish: W): boolean {
    // Deducted or asking means sent on its way: it need not be looked for in a line that may be long.
    if (wish.deducted > 0 || wish.asks) return false
    const line = this.#lines.get(wish.fareId)
    const place = line?.indexOf(wish) ?? -1
    if (line === undefined || place === -1) return false
    line.splice(place, 1)
    this.#lineLength -= 1
    return true
  }

  /** Whoever can move now, in order of arrival, with where they go; the others stay in line. */
  wake(nowMs: number): { readonly wish: W; readonly admission: Admission }[] {
    const moved: { wish: W; admission: Admission }[] = []
    if (this.#lineLength === 0) return moved
    for (const [fareId, line] of this.#lines) {
      if (line.length === 0) continue
      this.#lines.set(fareId, [])
      this.#lineLength -= line.length
      let place = 0
      for (; place < line.length; place += 1) {
        const wish = line[place] as W
        const admission = this.admit(wish, nowMs)
        // The first that must wait again is back at the head, and the rest wait behind it.
        if (admission.to === 'line') break
        moved.push({ wish, admission })
      }
      const rest = line.slice(place + 1)
      this.#lines.get(fareId)?.push(...rest)
      this.#lineLength += rest.length
    }
    return moved
  }

  /** What the store showed before this node joined: good enough to show, not to answer from. */
  hearSnapshot(snapshot: Pick<SaleSnapshot, 'state' | 'nowMs' | 'fares'>, sentMs: number, receivedMs: number): void {
    this.clock.observe(snapshot.nowMs, sentMs, receivedMs)
    this.#state = snapshot.state
    for (const counters of snapshot.fares) {
      const level = { ...counters, allowance: 0, changedSeq: 0 }
      this.#fares.get(counters.fareId)?.hear(level, VERSION_ZERO, Number.NEGATIVE_INFINITY)
    }
  }

  hearJoin(reply: JoinReply, sentMs: number, receivedMs: number): void {
    if (reply.version.era !== this.seen.era) this.#beginEra(reply.version)
    this.opensAtMs = reply.opensAtMs
    this.closesAtMs = reply.closesAtMs
    this.#hear(reply, sentMs, receivedMs)
    this.#sync(reply.version, sentMs)
  }

  hearHeartbeat(reply: HeartbeatReply, sentMs: number, receivedMs: number): void {
    this.opensAtMs = reply.opensAtMs
    this.closesAtMs = reply.closesAtMs
    this.#hear(reply, sentMs, receivedMs)
    this.#sync(reply.version, sentMs)
    const { buyers, cursor, complete } = reply.winners
    this.winners.follow(buyers, cursor, complete, reply.version)
  }

  hearConfirm(reply: ConfirmReply, sentMs: number, receivedMs: number): void {
    this.#hear(reply, sentMs, receivedMs)
  }

  /** Are there refusals that could come from memory if only the winners were known up to them? */
  get lacksWinners(): boolean {
    if (this.#state !== 'open' && !this.winners.isCompleteAt(this.#stateVersion)) return true
    for (const fare of this.#fares.values()) {
      if (fare.level?.remaining === 0 && !this.winners.isCompleteAt(fare.changedAt)) return true
    }
    return false
  }

  #beginEra(version: Version): void {
    for (const fare of this.#fares.values()) fare.forget()
    this.synced = VERSION_ZERO
    this.#syncedSentMs = Number.NEGATIVE_INFINITY
    this.#stateVersion = VERSION_ZERO
    this.#stateSentMs = Number.NEGATIVE_INFINITY
    this.winners.startReading(version)
  }

  #hear(
    reply: { version: Version; nowMs: number; state: SaleState; fares: readonly FareLevel[] },
    sentMs: number,
    receivedMs: number,
  ): void {
    const { version } = reply
    this.clock.observe(reply.nowMs, sentMs, receivedMs)
    if (compareVersions(version, this.seen) > 0) this.seen = version
    if (compareVersions(version, this.#stateVersion) >= 0) {
      this.#state = reply.state
      this.#stateVersion = version
      if (sentMs > this.#stateSentMs) this.#stateSentMs = sentMs
    }
    for (const level of reply.fares) this.#fares.get(level.fareId)?.hear(level, version, sentMs)
  }

  #sync(version: Version, sentMs: number): void {
    if (compareVersions(version, this.synced) < 0) return
    this.synced = version
    if (sentMs > this.#syncedSentMs) this.#syncedSentMs = sentMs
  }

  /** Why nobody may buy, as far as is known, or null. Near opening and closing only the store knows. */
  #door(nowMs: number): 'not_open' | 'paused' | 'closed' | null {
    switch (this.#state) {
      case 'draft':
        return 'not_open'
      case 'scheduled':
        return this.opensAtMs !== null && this.clock.atMost(nowMs) >= this.opensAtMs ? null : 'not_open'
      case 'open':
        return this.closesAtMs !== null && this.clock.atLeast(nowMs) >= this.closesAtMs ? 'closed' : null
      case 'paused':
      case 'closed':
        return this.#state
    }
  }

  #isStateFresh(nowMs: number): boolean {
    return nowMs - this.#stateSentMs < FRESH_MS
  }

  #isFareFresh(fare: FareQuota, nowMs: number): boolean {
    return nowMs - Math.max(fare.heardSentMs, this.#syncedSentMs) < FRESH_MS
  }

  /**
   * No by memory, if it is fresh and the buyer is not one who has won; otherwise the store is asked. A winner may be
   * repeating, or be at the limit, which comes before a shortage. Where a repeat is possible, a winner not yet known
   * counts too; where it is not, nothing is lost by an answer that a moment later would name the limit instead.
   */
  #refuseOrAsk(wish: Asked, refusal: Refusal, since: Version, isFresh: boolean): Admission {
    if (!isFresh) return TO_STORE
    const { winners } = this
    if (wish.mayRepeat ? winners.mayHaveWon(wish.buyer, since) : winners.has(wish.buyer)) return TO_STORE
    return REFUSALS[refusal]
  }

  #ask(wish: W): Admission {
    if (this.#asking >= this.#bounds.asking) return TO_NOBODY
    wish.asks = true
    this.#asking += 1
    return TO_STORE
  }

  #deductOrQueue(wish: W, fare: FareQuota): Admission {
    const line = this.#lines.get(wish.fareId)
    if (line === undefined) throw new Error(`fare ${wish.fareId} has no line`)
    if (line.length === 0 && fare.deduct(wish.quantity)) {
      wish.deducted = wish.quantity
      return TO_STORE
    }
    if (this.#lineLength >= this.#bounds.line) return TO_NOBODY
    line.push(wish)
    this.#lineLength += 1
    return TO_LINE
  }

  #fareOf(wish: Asked): FareQuota {
    const fare = this.#fares.get(wish.fareId)
    if (fare === undefined) throw new Error(`no fare ${wish.fareId}`)
    return fare
  }
}

function isQuantity(quantity: number, limit: number): boolean {
  return Number.isInteger(quantity) && quantity >= 1 && quantity <= limit
}

/** What a buyer of so many would hear, going by the newest counters; null when there are enough, or none are known. */
function shortageOf(fare: FareQuota, quantity: number): 'not_enough' | 'all_held' | 'sold_out' | null {
  const { level } = fare
  if (level === null || level.remaining >= quantity) return null
  if (level.remaining > 0) return 'not_enough'
  return level.held > 0 ? 'all_held' : 'sold_out'
}
