/**
 * The workload: many people who want tickets, each with habits of their own. They come by the clock whatever becomes
 * of those before them, repeat with the same key while nobody gives a final answer, and write everything down.
 */
import type { Edge } from './edge.ts'
import { type Act, acknowledged, type Attempt, isOk, isUnknown, type Purchase } from './history.ts'
import type { Kernel } from './kernel.ts'
import type { BuyReply } from './node-process.ts'
import { SALE_ID, type Scenario } from './scenario.ts'

/** Asks for an order to be paid or cancelled. */
export type ActOn = (orderId: string, kind: Act['kind'], respond: (outcome: Act['outcome']) => void) => void

const RETRY_MS_MAX = 400
const CLIENT_TIMEOUT_MS = 6000
/** Refusals after which some come again. */
const PASSING = new Set(['all_held', 'not_enough', 'paused', 'not_open', 'sold_out'])

interface Habits {
  readonly doubles: boolean
  readonly repeatsAfterMs: number | null
  readonly act: Act['kind'] | null
  readonly comesBack: number
  /** The client loses the connection now and then. */
  readonly losesShare: number
}

const FRESH: Habits = { doubles: false, repeatsAfterMs: null, act: null, comesBack: 0, losesShare: 0 }

export class Buyers {
  readonly history: Purchase[] = []
  /** What somebody still wants: an answer, or to pay or cancel later. */
  open = 0
  readonly #kernel: Kernel
  readonly #edge: Edge
  readonly #scenario: Scenario
  readonly #nodeIds: readonly string[]
  readonly #actOn: ActOn

  constructor(kernel: Kernel, edge: Edge, scenario: Scenario, nodeIds: readonly string[], actOn: ActOn) {
    this.#kernel = kernel
    this.#edge = edge
    this.#scenario = scenario
    this.#nodeIds = nodeIds
    this.#actOn = actOn
  }

  /** Everybody comes at a time of their own. */
  invite(): void {
    const { random } = this.#kernel
    const { buyers, requestMs, rushShare } = this.#scenario
    for (let count = 0; count < buyers; count += 1) {
      const inRush = random.next() < rushShare
      const comesMs = random.next() * (inRush ? requestMs / 10 : requestMs)
      this.#kernel.schedule(null, 20 + comesMs, 'comes', () => this.#come(`b${count}`))
    }
  }

  /** One more buyer, for one ticket, who insists until told. */
  sendFresh(number: number, fareId: string, onEnd: (purchase: Purchase) => void): void {
    const purchase = this.#note(`fresh${number}`, 'key-no-1', fareId, 1, true)
    this.#insist(purchase, FRESH, (ended) => {
      // Paid at once, so that it stays sold.
      if (acknowledged(ended) !== null) this.#act(ended, 'pay', () => {})
      onEnd(ended)
    })
  }

  /** The same request once more, whatever was answered before. */
  repeat(purchase: Purchase): void {
    this.#attempt(purchase, null, 0, () => {})
  }

  /** Somebody who has an order of this fare asks for it again, at this very node. */
  repeatOfWinner(fareId: string, nodeId: string): void {
    const winner = this.history.find(
      (purchase) => purchase.fareId === fareId && purchase.mayRepeat && acknowledged(purchase) !== null,
    )
    if (winner !== undefined) this.#attempt(winner, nodeId, 0, () => {})
  }

  /** One more buyer, for one ticket at this very node, who takes whatever is answered. */
  askAt(nodeId: string, fareId: string): void {
    this.#attempt(this.#note(`at${this.history.length}`, 'key-no-1', fareId, 1, false), nodeId, 0, () => {})
  }

  #come(buyer: string): void {
    const { random } = this.#kernel
    // Keys are each buyer's own: two buyers may have the same.
    const first = this.#wish(buyer, 'key-no-1')
    this.#insist(first, this.#habits(), () => {})
    if (random.next() < 0.25) {
      // Another wish under a key of its own, or another wish under the same key.
      const isSameKey = random.next() < 0.3
      const second = this.#wish(buyer, isSameKey ? first.key : 'key-no-2')
      const afterMs = random.next() < 0.5 ? 0 : random.below(2000)
      this.#sometime(afterMs, 'second', (done) => this.#insist(second, this.#habits(), done))
    }
  }

  #wish(buyer: string, key: string): Purchase {
    const { random } = this.#kernel
    const { limitPerBuyer, fares } = this.#scenario.definition
    const isWrong = random.next() < 0.03
    const wantsMost = this.#scenario.wantsMostShare > 0 && random.next() < this.#scenario.wantsMostShare
    const any = wantsMost ? limitPerBuyer : 1 + random.below(limitPerBuyer)
    const quantity = isWrong ? limitPerBuyer + 1 : any
    const fareId = fares[random.below(fares.length)]?.id ?? ''
    return this.#note(buyer, key, fareId, quantity, random.next() > 0.1)
  }

  #note(buyer: string, key: string, fareId: string, quantity: number, mayRepeat: boolean): Purchase {
    const purchase: Purchase = { buyer, key, fareId, quantity, mayRepeat, attempts: [], acts: [] }
    this.history.push(purchase)
    return purchase
  }

  #habits(): Habits {
    const { random } = this.#kernel
    const act = random.next()
    return {
      doubles: random.next() < 0.15,
      repeatsAfterMs: random.next() < 0.35 ? random.below(4000) : null,
      act: act < 0.2 ? 'pay' : act < 0.5 ? 'cancel' : null,
      comesBack: random.next() < 0.3 ? 1 + random.below(3) : 0,
      losesShare: random.next() < 0.1 ? 0.5 : 0,
    }
  }

  #insist(purchase: Purchase, habits: Habits, onEnd: (purchase: Purchase) => void): void {
    this.open += 1
    let backs = habits.comesBack
    const { random } = this.#kernel
    const go = (): void =>
      this.#attempt(purchase, null, habits.losesShare, (attempt) => {
        const isPassing = PASSING.has(attempt.code ?? '')
        // A key made on the way is another one next time: that would be another purchase.
        if (purchase.mayRepeat && (isUnknown(attempt) || (isPassing && backs > 0))) {
          if (isPassing) backs -= 1
          this.#kernel.schedule(null, 10 + random.below(RETRY_MS_MAX), 'again', go)
          return
        }
        this.open -= 1
        onEnd(purchase)
        if (isOk(attempt)) this.#afterwards(purchase, habits)
      })
    go()
    if (habits.doubles && purchase.mayRepeat) {
      this.#sometime(random.below(20), 'double', (done) => this.#attempt(purchase, this.#anyNode(), 0, done))
    }
  }

  #afterwards(purchase: Purchase, habits: Habits): void {
    const { random } = this.#kernel
    if (habits.repeatsAfterMs !== null && purchase.mayRepeat) {
      const at = random.next() < 0.5 ? null : this.#anyNode()
      this.#sometime(habits.repeatsAfterMs, 'repeat', (done) => this.#attempt(purchase, at, 0, done))
    }
    const { act } = habits
    if (act === null) return
    this.#sometime(random.below(1500), act, (done) => this.#act(purchase, act, done))
  }

  /** Something still to come, which the end of the run waits for. */
  #sometime(inMs: number, label: string, work: (done: () => void) => void): void {
    this.open += 1
    this.#kernel.schedule(null, inMs, label, () =>
      work(() => {
        this.open -= 1
      }),
    )
  }

  #act(purchase: Purchase, kind: Act['kind'], done: () => void): void {
    const order = acknowledged(purchase)
    if (order === null) return done()
    let isOver = false
    const end = (): void => {
      if (!isOver) done()
      isOver = true
    }
    this.#kernel.schedule(null, CLIENT_TIMEOUT_MS, 'gives up', end)
    const act: Act = {
      kind,
      orderId: order.orderId,
      invokedMs: this.#kernel.nowMs,
      completedMs: Number.POSITIVE_INFINITY,
      outcome: 'unknown',
    }
    purchase.acts.push(act)
    this.#actOn(order.orderId, kind, (outcome) => {
      act.completedMs = this.#kernel.nowMs
      act.outcome = outcome
      this.#kernel.note(`${kind} ${outcome} ${order.orderId}`, 0)
      end()
    })
  }

  #attempt(purchase: Purchase, at: string | null, losesShare: number, onEnd: (attempt: Attempt) => void): void {
    const { random } = this.#kernel
    const attempt: Attempt = {
      invokedMs: this.#kernel.nowMs,
      completedMs: Number.POSITIVE_INFINITY,
      status: 0,
      code: null,
      orderId: null,
      at,
    }
    purchase.attempts.push(attempt)
    let isOver = false
    const end = (): void => {
      if (isOver) return
      isOver = true
      onEnd(attempt)
    }
    const willLose = random.next() < losesShare
    // Whoever keeps the connection is answered by the edge, in time, whatever becomes of the node.
    if (willLose) this.#kernel.schedule(null, random.below(300), 'gives up', end)
    const hear = (reply: BuyReply): void => {
      if (isOver) return
      attempt.completedMs = this.#kernel.nowMs
      attempt.status = reply.status
      attempt.code = reply.code
      attempt.orderId = reply.orderId
      this.#kernel.note(`${purchase.buyer} ${reply.code ?? reply.orderId ?? ''}`, reply.status)
      end()
    }
    const { buyer, key, fareId, quantity, mayRepeat } = purchase
    const request = { saleId: SALE_ID, buyer, key, fareId, quantity, mayRepeat }
    if (at === null) this.#edge.buy(request, hear)
    else this.#edge.buyAt(at, request, hear)
  }

  #anyNode(): string {
    return this.#nodeIds[this.#kernel.random.below(this.#nodeIds.length)] ?? ''
  }
}
