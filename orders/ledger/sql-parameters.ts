/** Parameters as text that the server parses, so that no driver has to guess the type of an array. */
import type { SqlValue } from './database.ts'

export function sqlParameters(values: readonly SqlValue[]): (string | number | boolean | null)[] {
  return values.map((value) => (isList(value) ? arrayLiteral(value) : value))
}

function isList(value: SqlValue): value is Extract<SqlValue, readonly unknown[]> {
  return Array.isArray(value)
}

function arrayLiteral(values: readonly (string | number | boolean | null)[]): string {
  return `{${values.map(elementLiteral).join(',')}}`
}

function elementLiteral(value: string | number | boolean | null): string {
  if (value === null) return 'NULL'
  if (typeof value !== 'string') return String(value)
  return `"${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
