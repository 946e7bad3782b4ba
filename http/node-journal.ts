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

export interface ToldText {
  readonly era: number
  readonly orders: readonly OrderRow[]
}

/**
 * What a node told buyers in lives of the store before `era`, and not again since (`GET /journal/SALE/before/ERA`), with
 * the era in which it sells itself: one that is still in an earlier goes on telling. Null as for {@link AskJournal}.
 */
export type AskTold = (
  adminUrl: string,
  saleId: string,
  era: number,
) => Promise<{ readonly era: number; readonly orders: readonly Order[] } | null>

export function journalAsker(token: string, timeoutMs = ANSWERS_WITHIN_MS): AskJournal {
  return async (adminUrl, saleId) => journalOf(await read(token, new URL(`/journal/${saleId}`, adminUrl), timeoutMs))
}

export function toldAsker(token: string | null, timeoutMs = ANSWERS_WITHIN_MS): AskTold {
  return async (adminUrl, saleId, era) =>
    token === null ? null : toldOf(await read(token, new URL(`/journal/${saleId}/before/${era}`, adminUrl), timeoutMs))
}

const ANSWERS_WITHIN_MS = 3000

/** Null for no answer in time, and for any other than 200. */
async function read(token: string, url: URL, timeoutMs: number): Promise<unknown> {
  try {
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(timeoutMs),
    })
    return response.ok ? await response.json() : null
  } catch {
    return null
  }
}

function toldOf(value: unknown): Awaited<ReturnType<AskTold>> {
  if (typeof value !== 'object' || value === null || !('orders' in value) || !('era' in value)) return null
  const orders = ordersOfRows(value.orders)
  return orders === null || typeof value.era !== 'number' ? null : { era: value.era, orders }
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
