/** Trouble with ledger or store: nothing is given up, the same work is done again a while later. */
import { StoreError } from '../../stock/port.ts'
import { DatabaseError } from '../ledger/database.ts'
import type { PipelineLog } from './turns.ts'

const FIRST_WAIT_MS = 100
const LONGEST_WAIT_MS = 2000

/** How long to wait after trouble: longer each time, and short again after a turn that went well. */
export class Patience {
  readonly #work: string
  readonly #log: PipelineLog
  #waitMs = FIRST_WAIT_MS
  #isTroubled = false

  constructor(work: string, log: PipelineLog) {
    this.#work = work
    this.#log = log
  }

  get isTroubled(): boolean {
    return this.#isTroubled
  }

  wentWell(): void {
    if (this.#isTroubled) this.#log.info({ work: this.#work }, 'goes on')
    this.#isTroubled = false
    this.#waitMs = FIRST_WAIT_MS
  }

  /** Returns how many milliseconds to wait; throws what is neither the ledger's nor the store's trouble. */
  waitAfter(error: unknown): number {
    if (!(error instanceof DatabaseError) && !(error instanceof StoreError)) throw error
    if (!this.#isTroubled) this.#log.warn({ work: this.#work, reason: error.message }, 'waits for ledger or store')
    this.#isTroubled = true
    const waitMs = this.#waitMs
    this.#waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)
    return waitMs
  }
}
