import { OperationError } from '../../runtime/operation-error.ts'

export function noSuchSale(saleId: string): OperationError {
  return new OperationError('no_such_sale', `no sale has the id "${saleId}": see "farebox sale list"`, { saleId })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
