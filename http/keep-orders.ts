/** What a node asks of an orders process with `ack: ledger`, on its private port (`POST /admin/sales/SALE/keep`). */
import type { OrderRow } from './order-rows.ts'

export interface OrdersToKeep {
  /** Of the store that judged them. */
  readonly era: number
  readonly orders: readonly OrderRow[]
}

export interface KeepReply {
  readonly outcome?: unknown
  readonly era?: unknown
  readonly orders?: readonly OrderRow[]
}

/** Rejects with an `Error` where no answer came in time, or none that says anything about the orders. */
export type AskKeep = (adminUrl: string, saleId: string, body: OrdersToKeep) => Promise<KeepReply>

/** Less than buyers wait, so that another process may be asked for the same. */
export const KEEP_WITHIN_MS = 1000

export function keepAsker(token: string): AskKeep {
  return async (adminUrl, saleId, body) => {
    const url = new URL(`/admin/sales/${saleId}/keep`, adminUrl)
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      signal: AbortSignal.timeout(KEEP_WITHIN_MS),
      body: JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${url.origin} answered ${response.status}: ${text.slice(0, 300).trim()}`)
    return JSON.parse(text) as KeepReply
  }
}
