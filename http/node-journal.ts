/** What a node has told buyers of their orders of one sale, on its private port (`GET /journal/SALE`). */
import type { Order, Version } from '../stock/core/words.ts'
import { type OrderRow, ordersOfRows } from './order-rows.ts'

export interface NodeJournal {
  /** Everything told of a store at a later version is here; null when nothing was answered for yet. */
  readonly since: Version | null
  readonly orders: readonly Order[]
}

export interface JournalText {
  readonly since: Version | null
  readonly orders: readonly OrderRow[]
}

/** Null when the node does not answer in time, not with a journal, or does not know the sale. */
export type AskJournal = (adminUrl: string, saleId: string) => Promise<NodeJournal | null>

export function journalAsker(token: string, timeoutMs = 3000): AskJournal {
  return async (adminUrl, saleId) => {
    try {
      const response = await fetch(new URL(`/journal/${saleId}`, adminUrl), {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(timeoutMs),
      })
      return response.ok ? journalOf(await response.json()) : null
    } catch {
      return null
    }
  }
}

/** Null when the value is no journal. */
export function journalOf(value: unknown): NodeJournal | null {
  if (typeof value !== 'object' || value === null || !('orders' in value) || !('since' in value)) return null
  const orders = ordersOfRows(value.orders)
  const since = versionOf(value.since)
  return orders === null || since === undefined ? null : { since, orders }
}

/** Undefined when it is neither a version nor null. */
function versionOf(value: unknown): Version | null | undefined {
  if (value === null) return null
  if (typeof value !== 'object' || value === undefined) return undefined
  const { era, seq } = value as { readonly era?: unknown; readonly seq?: unknown }
  if (typeof era !== 'number' || typeof seq !== 'number') return undefined
  return { era, seq }
}
