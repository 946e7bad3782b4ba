/**
 * One orders process's connection to the database. Each operation is one transaction: carried out at one moment, or not
 * at all, and when the process or the answer is lost on the way nobody is told which.
 */
import type { Acts } from '../orders/ledger/act-ledger.ts'
import { DatabaseError } from '../orders/ledger/database.ts'
import type { Ledger } from '../orders/ledger/ledger.ts'
import { MemoryActs } from '../orders/ledger/memory-acts.ts'
import { MemoryLedger } from '../orders/ledger/memory-ledger.ts'
import type { Host } from './host.ts'
import type { LedgerServer } from './ledger-server.ts'

const LATENCY_MS = 1

type Verbs = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>

const LEDGER_VERBS = verbsOf(MemoryLedger.prototype)
const ACT_VERBS = verbsOf(MemoryActs.prototype)

/** Verbs that change nothing. */
const READS: ReadonlySet<string> = new Set([
  'sale',
  'sales',
  'order',
  'unsettled',
  'deadLetters',
  'scanOrders',
  'scanOrderIds',
  'sums',
  'untold',
  'transfers',
])

export class LedgerLink {
  readonly ledger: Ledger
  readonly acts: Acts
  readonly #host: Host
  readonly #server: LedgerServer
  #awaited: { readonly verb: string; readonly act: () => void } | null = null

  constructor(host: Host, server: LedgerServer) {
    this.#host = host
    this.#server = server
    this.ledger = this.#proxy(LEDGER_VERBS, server.ledger as unknown as Verbs) as unknown as Ledger
    this.acts = this.#proxy(ACT_VERBS, server.acts as unknown as Verbs) as unknown as Acts
  }

  /** Calls `act` when this is next asked, before it is done. */
  whenAsked(verb: string, act: () => void): void {
    this.#awaited = { verb, act }
  }

  #proxy(names: readonly string[], target: Verbs): Verbs {
    return Object.fromEntries(
      names.map((name) => [name, (...args: readonly unknown[]) => this.#call(target, name, args)]),
    )
  }

  #call(target: Verbs, verb: string, args: readonly unknown[]): Promise<unknown> {
    const { kernel } = this.#host
    const { life } = this.#host
    if (this.#awaited?.verb === verb) {
      const { act } = this.#awaited
      this.#awaited = null
      act()
    }
    return new Promise((resolve, reject) => {
      /** A process that died meanwhile hears nothing. */
      const tell = (deliver: () => void): void => {
        if (this.#host.life === life) kernel.schedule(this.#host, this.#latency(), 'ledger', deliver)
      }
      const carryOut = (): Promise<unknown> =>
        target[verb]?.(...args) ?? Promise.reject(new Error(`the ledger has no verb ${verb}`))
      const refuse = (): void => tell(() => reject(new DatabaseError('away', 'the database does not answer')))
      const wasAway = this.#server.isAway
      // A reading that arrives at once and is answered late is like any other.
      if (READS.has(verb) && !wasAway) {
        carryOut().then((reply) => tell(() => resolve(reply)), reject)
        return
      }
      kernel.schedule(null, this.#latency(), verb, () => {
        const isAway = this.#server.isAway
        // It went away just now: perhaps after the commit.
        if (isAway && (wasAway || kernel.random.next() < 0.5)) return refuse()
        carryOut().then(
          (reply) => (isAway ? refuse() : tell(() => resolve(reply))),
          (error: unknown) => tell(() => reject(error instanceof Error ? error : new Error(String(error)))),
        )
      })
    })
  }

  #latency(): number {
    return LATENCY_MS * (0.1 + this.#host.kernel.random.next())
  }
}

function verbsOf(prototype: object): readonly string[] {
  return Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
}
