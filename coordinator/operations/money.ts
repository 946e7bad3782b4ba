/** Payments and tickets, as far as operators have to do with them: the orders processes know. */
import { OperationError } from '../../runtime/operation-error.ts'
import type { Problem } from './recount.ts'
import type { World } from './world.ts'

/**
 * Where money and stock do not agree. That nobody could say is a problem too: an audit that did not see the money has
 * not found it right.
 */
export async function moneyProblems(world: World, saleId: string): Promise<readonly Problem[]> {
  try {
    const path = `/admin/sales/${saleId}/money`
    return (await world.orders.call<{ readonly problems: readonly Problem[] }>('GET', path)).problems
  } catch (error) {
    if (!(error instanceof OperationError)) throw error
    return [{ rule: 'money_unknown', witness: `payments could not be compared: ${error.message}` }]
  }
}

export interface RotatedKeys {
  readonly kid: string
  readonly keys: number
}

export function rotateKeys(world: World): Promise<RotatedKeys> {
  return world.orders.call<RotatedKeys>('POST', '/admin/keys/rotate')
}

export interface PaymentAnomaly {
  readonly kind: string
  readonly provider: string
  readonly reference: string | null
  readonly detail: string
  readonly times: number
  readonly firstMs: number
  readonly lastMs: number
}

export function paymentAnomalies(world: World): Promise<{ readonly items: readonly PaymentAnomaly[] }> {
  return world.orders.call<{ readonly items: readonly PaymentAnomaly[] }>('GET', '/admin/payments/anomalies')
}
