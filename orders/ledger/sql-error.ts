/** What a driver threw, as a {@link DatabaseError}: both drivers carry the server's own fields. */
import { DatabaseError } from './database.ts'

/**
 * Classes of SQLSTATE that blame the data of the very statement: 22 (a value that does not fit), 23 (a constraint). All
 * else may be otherwise the next time, a missing table included: somebody may be migrating.
 */
const REFUSED_CLASSES: readonly string[] = ['22', '23']

export function asDatabaseError(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error
  const sqlState = sqlStateOf(error)
  const refused = sqlState !== null && REFUSED_CLASSES.includes(sqlState.slice(0, 2))
  const message = error instanceof Error ? error.message : String(error)
  const constraint = textOf(error, 'constraint_name') ?? textOf(error, 'constraint')
  return new DatabaseError(refused ? 'refused' : 'away', message, { sqlState, constraint, cause: error })
}

/** Null when the error is not an answer of the database: its connection, the driver, a bug. */
export function sqlStateOf(error: unknown): string | null {
  const code = textOf(error, 'code')
  const isAnswer = textOf(error, 'severity') !== null && code !== null && /^[0-9A-Z]{5}$/.test(code)
  return isAnswer ? code : null
}

/** FATAL and PANIC end the server's side of the session. */
export function isSessionOver(error: unknown): boolean {
  const severity = textOf(error, 'severity')
  return severity === 'FATAL' || severity === 'PANIC'
}

export function isRefused(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && error.outcome === 'refused'
}

function textOf(error: unknown, field: string): string | null {
  const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, field) : null
  return typeof value === 'string' ? value : null
}
