/** An operation that cannot be done, with a stable code: told to the operator as it is. */
export class OperationError extends Error {
  override readonly name = 'OperationError'
  /** Lower snake case, for scripts. */
  readonly code: string
  readonly details: unknown

  constructor(code: string, message: string, details: unknown = null) {
    super(message)
    this.code = code
    this.details = details
  }
}
