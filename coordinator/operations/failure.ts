import { OperationError } from '../../runtime/operation-error.ts'

export function noSuchSale(saleId: string, near: string | null = null): OperationError {
  const hint = near === null ? ': see "farebox sale list"' : `; did you mean ${near}?`
  return new OperationError('no_such_sale', `no sale has the id "${saleId}"${hint}`, { saleId })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
