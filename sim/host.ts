/** A simulated process: clocks of its own, timers of its own, and the ways in which it can fail. */
import type { Clock } from '../runtime/clock.ts'
import type { Timers } from '../runtime/timers.ts'
import type { Kernel, KernelEvent, Owner } from './kernel.ts'

/** Virtual time 0, as wall clocks show it. */
export const WALL_START_MS = 1_800_000_000_000

export class Host implements Owner, Clock {
  readonly id: string
  readonly kernel: Kernel
  life = 0
  isUp = true
  isPaused = false
  /** When a pause last ended. */
  pausedAtMs = Number.NEGATIVE_INFINITY
  /** All pauses that ended, together. */
  pausedMs = 0
  crashedAtMs = Number.NEGATIVE_INFINITY
  /** Milliseconds that its clock counts in one of virtual time. */
  rate = 1
  /** How far its wall clock is off. */
  wallOffsetMs = 0
  /** How long a turn of its event loop takes. */
  turnMs = 0
  /** Called when a new life begins. */
  onStart: () => void = () => {}
  /** Called when a life ends, before anything else can happen. */
  onCrash: () => void = () => {}
  readonly timers: Timers
  #deferred: KernelEvent[] = []
  #pausedSinceMs = 0

  constructor(kernel: Kernel, id: string) {
    this.kernel = kernel
    this.id = id
    this.timers = {
      after: (ms, run) => this.#after(ms, run),
      every: (ms, run) => this.#every(ms, run),
      soon: (run) => kernel.schedule(this, this.turnMs, 'soon', run),
    }
  }

  nowMs(): number {
    return WALL_START_MS + this.wallOffsetMs + this.monotonicMs()
  }

  monotonicMs(): number {
    return this.kernel.nowMs * this.rate
  }

  defer(event: KernelEvent): void {
    this.#deferred.push(event)
  }

  get deferredCount(): number {
    return this.#deferred.length
  }

  /** SIGKILL: whatever it was about to do does not happen. */
  crash(): void {
    if (!this.isUp) return
    this.onCrash()
    this.crashedAtMs = this.kernel.nowMs
    this.isUp = false
    this.isPaused = false
    this.life += 1
    this.#deferred = []
  }

  start(): void {
    if (this.isUp) return
    this.isUp = true
    this.onStart()
  }

  pause(): void {
    this.isPaused = true
    this.#pausedSinceMs = this.kernel.nowMs
  }

  /** What fell due meanwhile happens now, in order. */
  resume(): void {
    this.isPaused = false
    this.pausedAtMs = this.kernel.nowMs
    this.pausedMs += this.kernel.nowMs - this.#pausedSinceMs
    const deferred = this.#deferred
    this.#deferred = []
    for (const event of deferred) this.kernel.again(event)
  }

  #after(ms: number, run: () => void): () => void {
    let isCalledOff = false
    this.kernel.schedule(this, ms / this.rate, 'timer', () => {
      if (!isCalledOff) run()
    })
    return () => {
      isCalledOff = true
    }
  }

  #every(ms: number, run: () => void): () => void {
    let isEnded = false
    const next = (): void => {
      if (isEnded) return
      this.kernel.schedule(this, ms / this.rate, 'every', next)
      run()
    }
    this.kernel.schedule(this, ms / this.rate, 'every', next)
    return () => {
      isEnded = true
    }
  }
}
