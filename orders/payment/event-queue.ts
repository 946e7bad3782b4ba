/**
 * Payment events between their receipt and their judgement. Those that wait together are judged together, in one
 * transaction and one commit; what is not plain among them, or all if the group fails, is judged one by one, so that no
 * event takes others with it. Events of one payment are judged in the order in which they came.
 */
import { DatabaseError } from '../ledger/database.ts'
import type { JudgeContext } from './money-work.ts'
import type { EventResult, HeardEvent, PaymentLedger } from './payment-ledger.ts'
import type { PaymentEvent } from './provider.ts'

interface Waiting extends HeardEvent {
  readonly provider: string
  readonly resolve: (result: EventResult) => void
  readonly reject: (error: unknown) => void
}

const GROUP_MAX = 100
/** Providers repeat what was not heard. */
const WAITING_MAX = 10_000

export class EventQueue {
  readonly #books: Pick<PaymentLedger, 'hear' | 'hearPlain'>
  #waiting: Waiting[] = []
  readonly #unjudged = new Set<Promise<unknown>>()
  #isJudging = false

  constructor(books: Pick<PaymentLedger, 'hear' | 'hearPlain'>) {
    this.#books = books
  }

  /** Resolves after the commit. Rejects with `DatabaseError`: the provider shall repeat it. */
  async hear(provider: string, event: PaymentEvent, context: JudgeContext): Promise<EventResult> {
    if (this.#waiting.length >= WAITING_MAX) throw new DatabaseError('away', 'too many payment events wait')
    const judged = new Promise<EventResult>((resolve, reject) => {
      this.#waiting.push({ provider, event, context, resolve, reject })
    })
    this.#unjudged.add(judged)
    if (!this.#isJudging) void this.#judgeAll()
    try {
      return await judged
    } finally {
      this.#unjudged.delete(judged)
    }
  }

  /** Resolves when every event received until now has been judged, or could not be. Never rejects. */
  async judged(): Promise<void> {
    await Promise.allSettled(this.#unjudged)
  }

  async #judgeAll(): Promise<void> {
    this.#isJudging = true
    while (this.#waiting.length > 0) {
      // Those received in the same round of the event loop are one group.
      await new Promise<void>((resolve) => {
        setImmediate(resolve)
      })
      await this.#judge(this.#nextGroup())
    }
    this.#isJudging = false
  }

  /** Of one provider, and of each payment its first. */
  #nextGroup(): Waiting[] {
    const group = new Map<string, Waiting>()
    const provider = this.#waiting[0]?.provider
    const left: Waiting[] = []
    for (const one of this.#waiting) {
      const { reference } = one.event
      const mayJoin = one.provider === provider && group.size < GROUP_MAX && !group.has(reference)
      if (mayJoin) group.set(reference, one)
      else left.push(one)
    }
    this.#waiting = left
    return [...group.values()]
  }

  async #judge(group: readonly Waiting[]): Promise<void> {
    const paid = group.filter(({ event }) => event.kind === 'paid')
    const results = await this.#books.hearPlain(group[0]?.provider ?? '', paid)
    const left = new Set(group)
    for (const [index, one] of paid.entries()) {
      const result = results[index] ?? null
      if (result === null) continue
      left.delete(one)
      one.resolve(result)
    }
    await Promise.all([...left].map((one) => this.#judgeAlone(one)))
  }

  async #judgeAlone({ provider, event, context, resolve, reject }: Waiting): Promise<void> {
    try {
      resolve(await this.#books.hear(provider, event, context))
    } catch (error) {
      reject(error)
    }
  }
}
