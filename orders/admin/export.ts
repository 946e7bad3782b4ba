/**
 * All orders of a sale as text, page by page while selling goes on: what is in the ledger when its page is read. An
 * order that changes meanwhile is in it once, as it was then.
 */
import type { Ledger, LedgerOrder } from '../ledger/ledger.ts'
import { orderView, type OrderView } from './order-view.ts'

const PAGE = 1000

const COLUMNS = [
  'id',
  'saleId',
  'fareId',
  'buyer',
  'quantity',
  'state',
  'reason',
  'createdAt',
  'holdExpiresAt',
  'paidAt',
  'releasedAt',
] as const satisfies readonly (keyof OrderView)[]

export const EXPORT_FORMATS = {
  csv: { contentType: 'text/csv; charset=utf-8', write: writeCsv },
  json: { contentType: 'application/json', write: writeJson },
} as const
export type ExportFormat = keyof typeof EXPORT_FORMATS

type Pages = AsyncIterable<readonly LedgerOrder[]>

export async function* pagesOf(ledger: Pick<Ledger, 'scanOrders'>, saleId: string): Pages {
  let after: string | null = null
  for (;;) {
    const page: readonly LedgerOrder[] = await ledger.scanOrders(saleId, after, PAGE)
    if (page.length > 0) yield page
    if (page.length < PAGE) return
    after = page.at(-1)?.id ?? null
  }
}

async function* writeCsv(pages: Pages, nowMs: () => number): AsyncIterable<string> {
  yield `${[...COLUMNS, 'amount', 'currency'].join(',')}\r\n`
  for await (const page of pages) {
    yield page.map((order) => csvLine(orderView(order, nowMs()))).join('')
  }
}

function csvLine(view: OrderView): string {
  const values = [...COLUMNS.map((column) => view[column]), view.total.amount, view.total.currency]
  return `${values.map((value) => csvCell(String(value ?? ''))).join(',')}\r\n`
}

/**
 * RFC 4180. A spreadsheet takes text that begins with one of these for a formula, and a buyer may be called anything,
 * so such a cell begins with an apostrophe.
 */
function csvCell(text: string): string {
  const safe = /^[=+\-@\t]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

async function* writeJson(pages: Pages, nowMs: () => number): AsyncIterable<string> {
  yield '{"items":['
  let isFirst = true
  for await (const page of pages) {
    const text = page.map((order) => JSON.stringify(orderView(order, nowMs()))).join(',\n')
    yield isFirst ? text : `,\n${text}`
    isFirst = false
  }
  yield ']}\n'
}
