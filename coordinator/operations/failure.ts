import { OperationError } from '../../runtime/operation-error.ts'
import { StoreError } from '../../stock/port.ts'

export function noSuchSale(saleId: string, near: string | null = null): OperationError {
  const hint = near === null ? ': see "farebox sale list"' : `; did you mean ${near}?`
  return new OperationError('no_such_sale', `no sale has the id "${saleId}"${hint}`, { saleId })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the store does not let us do, in the operator's words; everything else as it is. */
export function asTold(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error
  if (error.code !== 'unreachable' && error.code !== 'timeout') {
    return new OperationError(`store_${error.code}`, `Redis: ${error.message}`)
  }
  const hint = error.outcome === 'unknown' ? 'it may have been done all the same: look again' : 'nothing was done'
  return new OperationError('store_away', `Redis does not answer (${error.message}); ${hint}. See "farebox status"`)
}
