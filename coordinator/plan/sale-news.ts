/** What happened to sales, as orders processes tell it, in words for the operator. */

/** Of `/admin/recovery`. */
export interface SaleFacts {
  /** Sales that do not sell, and why. */
  readonly cases: readonly { readonly saleId: string; readonly reasons: readonly string[] }[]
  /** How each sale last came to sell again. */
  readonly recovered: readonly {
    readonly saleId: string
    readonly how: 'whole' | 'union' | 'operator' | 'recount'
    readonly forMs: number
  }[]
  /** Sales that an orders process paused, until they are open again. */
  readonly overruns: readonly string[]
}

export interface SaleNews {
  /** Two of the same key tell the same happening. */
  readonly key: string
  readonly saleId: string
  readonly kind: 'info' | 'warn' | 'error'
  readonly text: string
}

const SELLS_AGAIN = {
  whole: 'nothing was lost',
  union: 'it was put together again',
  operator: 'an operator decided',
} as const

export function saleNews({ cases, recovered, overruns }: SaleFacts): SaleNews[] {
  return [...cases.map(caseNews), ...recovered.map(recoveredNews), ...overruns.map(pausedNews)]
}

function caseNews({ saleId, reasons }: SaleFacts['cases'][number]): SaleNews {
  const text = `sale ${saleId} sells nothing until it is recovered: ${reasons.join('; ') || 'it is being looked at'}`
  return { key: text, saleId, kind: 'warn', text }
}

function recoveredNews(recovery: SaleFacts['recovered'][number]): SaleNews {
  const { saleId, how, forMs } = recovery
  const key = JSON.stringify(recovery)
  if (how !== 'recount') {
    return { key, saleId, kind: 'info', text: `sale ${saleId} sells again after ${forMs} ms: ${SELLS_AGAIN[how]}` }
  }
  const text =
    `sale ${saleId} sold more than the ledger has room for: its counters were wrong, and were set in ${forMs} ms to ` +
    'what its orders come to'
  return { key, saleId, kind: 'error', text }
}

function pausedNews(saleId: string): SaleNews {
  const text = `sale ${saleId} was paused: it sold too much again soon after it was counted anew; audit it`
  return { key: text, saleId, kind: 'error', text }
}
