/**
 * The little that the ledger needs of a database: statements with parameters, and transactions. PGlite (embedded) and
 * PostgreSQL both give it with one SQL dialect, so everything above is written once and tested on both.
 */

/** A value as a driver takes it; arrays are for `unnest($1::text[])` and its like. */
export type SqlValue = string | number | boolean | null | readonly (string | number | boolean | null)[]

export interface Query {
  /**
   * Runs one statement; parameters are `$1`, `$2`, …. Rows as objects by column name; `int8` arrives as a number, so
   * nothing here may grow beyond 2^53. Cast sums to `bigint`: `numeric` arrives as text.
   */
  query<Row extends object>(sql: string, parameters?: readonly SqlValue[]): Promise<readonly Row[]>
}

/**
 * Open until the work's promise settles; what it did is kept only if that promise is fulfilled. A statement that was
 * refused spoils it, unless the work returns to a savepoint.
 */
export type Transaction = Query

export interface Database extends Query {
  readonly kind: 'pglite' | 'postgres'
  /** Isolation is READ COMMITTED: lock the row that a decision depends on. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** A statement or a commit that failed. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  /** Five characters of SQLSTATE where the database answered, else null. */
  readonly sqlState: string | null
  /** The constraint that said no, where it was one. */
  readonly constraint: string | null
  /**
   * `refused`: the database judged the statement and nothing of it was kept. `away`: it could not be asked, or its
   * answer was lost, or it could not write (disk full): the work may or may not have been kept, so repeat it. Every
   * operation of the ledger may be repeated.
   */
  readonly outcome: 'refused' | 'away'

  constructor(
    outcome: DatabaseError['outcome'],
    message: string,
    details: { readonly sqlState?: string | null; readonly constraint?: string | null; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause })
    this.outcome = outcome
    this.sqlState = details.sqlState ?? null
    this.constraint = details.constraint ?? null
  }
}
