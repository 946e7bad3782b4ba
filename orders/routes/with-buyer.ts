/** Who asks, and what an outage is called. */
import type { Exchange } from '../../http/exchange.ts'
import type { Identifier } from '../../http/identity.ts'
import { StoreError } from '../../stock/port.ts'
import { DatabaseError } from '../ledger/database.ts'

/** A request without a token is nobody here, also in anonymous mode: nobody owns no orders. */
export async function withBuyer(
  identifier: Identifier,
  exchange: Exchange,
  work: (buyer: string) => Promise<void>,
): Promise<void> {
  const identity = identifier.identify(exchange.headers[0] ?? '')
  if (identity.outcome !== 'known') {
    exchange.problem('unauthenticated', identity.outcome === 'refused' ? identity.detail : null)
    return
  }
  await orBusy(exchange, () => work(identity.buyer))
}

/** Every act here may be repeated, so what could not be asked is simply busy. */
export async function orBusy(exchange: Exchange, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const isAway = error instanceof StoreError || (error instanceof DatabaseError && error.outcome === 'away')
    if (!isAway) throw error
    exchange.problem('busy', 'orders cannot be read or changed right now')
  }
}
