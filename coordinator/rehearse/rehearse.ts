/**
 * The same question as `plan/buffer.ts` answers by formula, answered by trying: buyers arrive one by one, each node
 * decides with its real quota, the store with its real levels, replies take their time, nodes die.
 *
 * Arrivals and routes are drawn from the seed alone, so a run with deaths and one without meet the same buyers, and
 * the difference is the deaths'.
 */
import { FareQuota } from '../../node/quota/fare-quota.ts'
import { seededRandom, type Random } from '../../runtime/random.ts'
import { allowanceOf } from '../../stock/core/allowance.ts'
import { partsOf, type Scene } from '../plan/buffer.ts'
import { EventQueue } from './event-queue.ts'

export interface Rehearsal {
  /** From the death until the last ticket is held. */
  readonly soldOutMs: number
  readonly wastedConfirms: number
}

export interface Difference {
  /** How much later the last ticket is held because nodes died. */
  readonly delayMs: number
  /** Of the run without deaths: what the buffer costs in every sale. */
  readonly wastedConfirms: number
}

/** Legs of a round trip differ by up to this part of themselves, either way. */
const JITTER = 0.2
/** Round trips before the death, so that it meets a fleet at work. */
const WARM_UP_TRIPS = 3
const FARE = 'fare'

/** One seed, played with the deaths and without. */
export function rehearse(scene: Scene, remainingAtDeath: number, seed: number): Difference {
  const died = new Stage(scene, remainingAtDeath, seed, scene.kill).play()
  const lived = new Stage(scene, remainingAtDeath, seed, 0).play()
  return { delayMs: Math.max(0, died.soldOutMs - lived.soldOutMs), wastedConfirms: lived.wastedConfirms }
}

/** The median of many seeds. */
export function rehearseMany(scene: Scene, remainingAtDeath: number, seeds: number): Difference {
  const runs = Array.from({ length: seeds }, (_, index) => rehearse(scene, remainingAtDeath, index + 1))
  return {
    delayMs: median(runs.map(({ delayMs }) => delayMs)),
    wastedConfirms: median(runs.map(({ wastedConfirms }) => wastedConfirms)),
  }
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}

interface Member {
  readonly quota: FareQuota
  /** Buyers who wait for allowance. */
  line: number
  isAlive: boolean
  /** As the store knows. */
  lastSeenMs: number
}

type Event =
  | { readonly kind: 'arrival' }
  | { readonly kind: 'death' }
  | { readonly kind: 'heartbeat'; readonly node: number }
  /** At the store; `isHeartbeat` brings no item. */
  | { readonly kind: 'judge'; readonly node: number; readonly isHeartbeat: boolean; readonly sentMs: number }
  | {
      readonly kind: 'reply'
      readonly node: number
      readonly isHeartbeat: boolean
      readonly sentMs: number
      readonly remaining: number
      readonly allowance: number
      readonly seq: number
    }

class Stage {
  readonly #scene: Scene
  readonly #kill: number
  readonly #events = new EventQueue<Event>()
  readonly #members: Member[]
  readonly #arrivals: Random
  readonly #legs: Random
  #remaining: number
  #liveWeight: number
  #seq = 1
  #nowMs: number
  #wasted = 0
  #soldOutMs: number | null = null
  #underWay = 0
  #parts: number[]

  constructor(scene: Scene, remainingAtDeath: number, seed: number, kill: number) {
    this.#scene = scene
    this.#kill = kill
    this.#arrivals = seededRandom(seed)
    this.#legs = seededRandom(seed + 1_000_003)
    const warmUpMs = WARM_UP_TRIPS * scene.roundTripMs
    this.#nowMs = -warmUpMs
    this.#remaining = remainingAtDeath + Math.round((warmUpMs * scene.ratePerSecond) / 1000)
    this.#liveWeight = scene.nodes
    this.#parts = partsOf(scene, scene.nodes)
    this.#members = this.#parts.map(() => ({
      quota: new FareQuota(FARE),
      line: 0,
      isAlive: true,
      lastSeenMs: this.#nowMs,
    }))
    for (const [node, member] of this.#members.entries()) {
      this.#hear(member, this.#remaining, this.#allowance(), 1)
      member.lastSeenMs = this.#nowMs - this.#legs.next() * scene.heartbeatMs
      this.#events.add(member.lastSeenMs + scene.heartbeatMs, { kind: 'heartbeat', node })
    }
    this.#events.add(this.#nowMs + this.#gapMs(), { kind: 'arrival' })
    if (kill > 0) this.#events.add(0, { kind: 'death' })
  }

  play(): Rehearsal {
    for (;;) {
      const next = this.#events.take()
      if (next === null) break
      this.#nowMs = next.atMs
      this.#do(next.what)
      // The rest is what is still on its way: it costs confirms, and sells nothing.
      if (this.#soldOutMs !== null && this.#underWay === 0) break
    }
    return { soldOutMs: this.#soldOutMs ?? this.#nowMs, wastedConfirms: this.#wasted }
  }

  #do(event: Event): void {
    switch (event.kind) {
      case 'arrival':
        this.#arrive()
        break
      case 'death':
        for (const member of this.#members.slice(this.#scene.nodes - this.#kill)) member.isAlive = false
        this.#parts = partsOf(this.#scene, this.#scene.nodes - this.#kill)
        break
      case 'heartbeat':
        this.#beat(event.node)
        break
      case 'judge':
        this.#judge(event)
        break
      case 'reply':
        this.#answer(event)
        break
    }
  }

  #gapMs(): number {
    return (-Math.log(1 - this.#arrivals.next()) * 1000) / this.#scene.ratePerSecond
  }

  #arrive(): void {
    this.#events.add(this.#nowMs + this.#gapMs(), { kind: 'arrival' })
    const member = this.#route(this.#arrivals.next())
    if (member === undefined || member.quota.level?.remaining === 0) return
    member.line += 1
    this.#serve(member)
  }

  /** nginx passes a refused connection on to the next node, so the dead get nothing. */
  #route(draw: number): Member | undefined {
    let left = draw
    for (const [node, part] of this.#parts.entries()) {
      left -= part
      if (left < 0) return this.#members[node]
    }
    return this.#members[0]
  }

  #serve(member: Member): void {
    while (member.line > 0 && member.quota.deduct(1)) {
      member.line -= 1
      this.#send(this.#members.indexOf(member), false)
    }
  }

  #send(node: number, isHeartbeat: boolean): void {
    if (!isHeartbeat) this.#underWay += 1
    this.#events.add(this.#nowMs + this.#legMs(), { kind: 'judge', node, isHeartbeat, sentMs: this.#nowMs })
  }

  #legMs(): number {
    return (this.#scene.roundTripMs / 2) * (1 - JITTER + 2 * JITTER * this.#legs.next())
  }

  #beat(node: number): void {
    if (this.#members[node]?.isAlive !== true) return
    this.#send(node, true)
    this.#events.add(this.#nowMs + this.#scene.heartbeatMs, { kind: 'heartbeat', node })
  }

  #judge({ node, isHeartbeat, sentMs }: Extract<Event, { kind: 'judge' }>): void {
    const member = this.#members[node]
    if (member === undefined) return
    if (isHeartbeat) {
      member.lastSeenMs = this.#nowMs
      this.#liveWeight = this.#members.filter((each) => this.#nowMs - each.lastSeenMs < this.#scene.deadAfterMs).length
    } else if (this.#remaining > 0) {
      this.#remaining -= 1
      if (this.#remaining === 0) this.#soldOutMs = this.#nowMs
    } else {
      this.#wasted += 1
    }
    this.#seq += 1
    const [remaining, allowance, seq] = [this.#remaining, this.#allowance(), this.#seq]
    const atMs = this.#nowMs + this.#legMs()
    this.#events.add(atMs, { kind: 'reply', node, isHeartbeat, sentMs, remaining, allowance, seq })
  }

  #allowance(): number {
    const { limitPerBuyer, buffer } = this.#scene
    return allowanceOf({ remaining: this.#remaining, weight: 1, liveWeight: this.#liveWeight, limitPerBuyer, buffer })
  }

  #answer({ node, isHeartbeat, remaining, allowance, seq, sentMs }: Extract<Event, { kind: 'reply' }>): void {
    const member = this.#members[node]
    if (!isHeartbeat) this.#underWay -= 1
    if (member === undefined || !member.isAlive) return
    this.#hear(member, remaining, allowance, seq, sentMs)
    if (!isHeartbeat) member.quota.restore(1)
    if (member.quota.level?.remaining === 0) member.line = 0
    this.#serve(member)
  }

  #hear(member: Member, remaining: number, allowance: number, seq: number, sentMs = this.#nowMs): void {
    const level = { fareId: FARE, stock: remaining, remaining, held: 0, paid: 0, allowance, changedSeq: seq }
    member.quota.hear(level, { era: 1, seq }, sentMs)
  }
}
