/** Issues the tickets of a paid order: the same ones every time. */
import { assert } from '../../runtime/assert.ts'
import type { LedgerOrder } from '../ledger/ledger.ts'
import { ticketBody } from './ticket-code.ts'
import type { TicketKeys } from './ticket-keys.ts'
import type { IssuedTicket, TicketPool } from './ticket-pool.ts'

export class TicketOffice {
  readonly keys: TicketKeys
  readonly #pool: TicketPool

  constructor(keys: TicketKeys, pool: TicketPool) {
    this.keys = keys
    this.#pool = pool
  }

  /** One per seat. Rejects with `TicketPoolBusy`, or `DatabaseError`. */
  async issue(order: LedgerOrder): Promise<readonly IssuedTicket[]> {
    const { id: orderId, saleId, fareId, quantity, state, paidAtMs } = order
    assert(state === 'paid' && paidAtMs !== null, () => `order ${orderId} is ${state}: it has no tickets`)
    const { kid, privateKeyPem } = await this.keys.keyOf(orderId)
    const bodies = Array.from({ length: quantity }, (_, index) =>
      ticketBody({ kid, saleId, fareId, orderId, seat: index + 1, issuedAtMs: paidAtMs }),
    )
    return this.#pool.issue(bodies, privateKeyPem)
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}
