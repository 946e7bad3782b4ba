/**
 * The one thread on which a simulated cluster lives: virtual time, an event queue, one seeded source of randomness,
 * and a hash of everything that happened.
 *
 * Intuition: a stack of alarm clocks. The next one to ring is taken, time jumps to it, its owner does what it does,
 * and everything that follows at once (promises) is finished before the next clock is looked at. Nothing waits for
 * real time, so the same seed gives the same run, however busy the machine is.
 *
 * Contract: {@link Kernel.run} must be called from a task of the event loop, not from a promise's callback, since
 * promises are settled by running the microtask queue, which cannot be run from within itself.
 */
import { assert } from '../runtime/assert.ts'
import { type Random, seededRandom } from '../runtime/random.ts'

/** Who an event belongs to: it waits while its owner is paused, and is dropped when that life of its owner ended. */
export interface Owner {
  readonly id: string
  /** Grows with every crash. */
  readonly life: number
  readonly isPaused: boolean
  /** Keeps an event that fell due while it was paused. */
  defer(event: KernelEvent): void
}

export interface KernelEvent {
  atMs: number
  order: number
  readonly label: string
  readonly owner: Owner | null
  readonly life: number
  readonly run: () => void
}

/** More than this is an endless loop of events. */
const EVENTS_MAX = 400_000
const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** Runs every microtask that is due. Node offers no documented way; `DEP0134` keeps this one for compatibility. */
const runMicrotasks = (process as unknown as { readonly _tickCallback: () => void })._tickCallback

export class Kernel {
  nowMs = 0
  readonly random: Random
  /** Events that ran. */
  count = 0
  /** Whose event is running. */
  running: Owner | null = null
  /** Lines of what happened; null when nobody wants to read them. */
  readonly trace: string[] | null
  /** An error that an owner's code let go: the end of that process. */
  onCrash: (owner: Owner | null, error: unknown) => void = (_, error) => {
    throw error
  }
  readonly #heap: KernelEvent[] = []
  #order = 0
  #hash = FNV_OFFSET
  #isStopped = false

  constructor(seed: number, isTraced = false) {
    this.random = seededRandom(seed)
    this.trace = isTraced ? [] : null
  }

  /** Eight hex digits over all events and notes so far. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }

  schedule(owner: Owner | null, delayMs: number, label: string, run: () => void): void {
    this.#order += 1
    const event = {
      atMs: this.nowMs + Math.max(0, delayMs),
      order: this.#order,
      label,
      owner,
      life: owner?.life ?? 0,
      run,
    }
    this.#push(event)
  }

  /** An event kept back by a pause is due now. */
  again(event: KernelEvent): void {
    this.#order += 1
    event.atMs = this.nowMs
    event.order = this.#order
    this.#push(event)
  }

  /** Something worth telling apart two runs by, and worth reading in a trace. */
  note(subject: string, number: number, detail?: () => string): void {
    this.#mix(number)
    for (let i = 0; i < subject.length; i += 1) this.#mix(subject.charCodeAt(i))
    this.trace?.push(`${this.nowMs.toFixed(3).padStart(10)} ${subject} ${number}${detail ? ` ${detail()}` : ''}`)
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Runs until stopped, until nothing is left, or until `endMs`. */
  run(endMs: number): void {
    const onRejection = (error: unknown): void => this.onCrash(this.running, error)
    process.on('unhandledRejection', onRejection)
    try {
      assertMicrotasksRun()
      while (!this.#isStopped) {
        const event = this.#heap[0]
        if (event === undefined || event.atMs > endMs || this.count > EVENTS_MAX) break
        this.#pop()
        this.nowMs = event.atMs
        this.#perform(event)
      }
    } finally {
      process.off('unhandledRejection', onRejection)
    }
  }

  #perform(event: KernelEvent): void {
    const { owner } = event
    if (owner !== null) {
      if (owner.life !== event.life) return
      if (owner.isPaused) {
        owner.defer(event)
        return
      }
    }
    this.count += 1
    this.#mix(event.order)
    this.#mix(Math.round(event.atMs * 1000))
    this.running = owner
    try {
      event.run()
    } catch (error) {
      this.onCrash(owner, error)
    }
    runMicrotasks()
    this.running = null
  }

  #mix(number: number): void {
    this.#hash = Math.imul(this.#hash ^ (number | 0), FNV_PRIME)
    this.#hash ^= this.#hash >>> 15
  }

  #push(event: KernelEvent): void {
    const heap = this.#heap
    let place = heap.length
    heap.push(event)
    while (place > 0) {
      const parentPlace = (place - 1) >> 1
      const parent = heap[parentPlace] as KernelEvent
      if (!isBefore(event, parent)) break
      heap[place] = parent
      place = parentPlace
    }
    heap[place] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as KernelEvent
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let child = place * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as KernelEvent, heap[child] as KernelEvent)) child += 1
      if (!isBefore(heap[child] as KernelEvent, last)) break
      heap[place] = heap[child] as KernelEvent
      place = child
    }
    heap[place] = last
  }
}

function isBefore(a: KernelEvent, b: KernelEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

function assertMicrotasksRun(): void {
  let hasRun = false
  queueMicrotask(() => {
    hasRun = true
  })
  runMicrotasks()
  assert(hasRun, 'the simulator was started from a promise: start it from a task of the event loop')
}
