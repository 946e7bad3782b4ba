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

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    this.#patience = new Patience(`reconciling ${parts.saleId}`, parts.log)
  }

  /** Returns how many milliseconds later to look again. */
  async turn(): Promise<number> {
    const { saleId, ledger, settling } = this.#parts
    try {
      // Those that are stuck must not hide the ones behind them.
      const found = await ledger.unsettled(saleId, AT_A_TIME + settling.stuck)
      await settling.settleOrders(found.filter(({ id }) => !settling.isStuck(id)))
      this.#patience.wentWell()
      return EVERY_MS
    } catch (error) {
      return this.#patience.waitAfter(error)
    }
  }
}
