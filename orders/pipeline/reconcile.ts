/** Tells the store again what a crash or trouble left out: every fate that the ledger does not know to be settled. */
import type { Ledger } from '../ledger/ledger.ts'
import type { Settling } from './settling.ts'
import { Patience } from './trouble.ts'
import type { PipelineLog } from './turns.ts'

const AT_A_TIME = 1000
const EVERY_MS = 1000

export interface ReconcilerParts {
  readonly saleId: string
  readonly ledger: Pick<Ledger, 'unsettled'>
  readonly settling: Settling
  readonly log: PipelineLog
}

export class Reconciler {
  readonly #parts: ReconcilerParts
  readonly #patience: Patience
  /** Those that are stuck come first, being the oldest, and must not hide the ones behind them. */
  #skip = 0

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    this.#patience = new Patience(`reconciling ${parts.saleId}`, parts.log)
  }

  /** Returns how many milliseconds later to look again. */
  async turn(): Promise<number> {
    const { saleId, ledger, settling } = this.#parts
    try {
      const found = await ledger.unsettled(saleId, AT_A_TIME, this.#skip)
      await settling.settleOrders(found.filter(({ id }) => !settling.isStuck(id)))
      this.#patience.wentWell()
      const stuck = found.filter(({ id }) => settling.isStuck(id)).length
      const isMore = found.length === AT_A_TIME && stuck > 0
      this.#skip = isMore ? this.#skip + stuck : 0
      return isMore ? 0 : EVERY_MS
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }
}
