/** An existing sale compared with the file that an operator brings. */
import { isDeepStrictEqual } from 'node:util'
import type { SaleFile } from '../../config/sale-file.ts'
import { OperationError } from '../../runtime/operation-error.ts'
import type { SaleDefinition } from '../../stock/core/words.ts'

export interface Difference {
  readonly path: string
  readonly stored: unknown
  readonly file: unknown
}

/** Throws `sale_differs` with every difference. */
export function refuseDifferent(file: SaleFile, stored: SaleDefinition): void {
  const { orderIdSecret: _, ...shown } = stored
  const differences = differencesOf(shown, file)
  if (differences.length === 0) return
  const list = differences.map(
    ({ path, stored: was, file: is }) => `${path} is ${text(was)}, the file says ${text(is)}`,
  )
  throw new OperationError(
    'sale_differs',
    `sale "${file.id}" exists and differs: ${list.join('; ')}. Use the stored values, or another id`,
    { differences },
  )
}

/** Every place in which the two differ, as paths like `fares[0].stock`. */
export function differencesOf(stored: unknown, file: unknown, path = ''): Difference[] {
  if (isDeepStrictEqual(stored, file)) return []
  if (!isContainer(stored) || !isContainer(file) || Array.isArray(stored) !== Array.isArray(file)) {
    return [{ path, stored: stored ?? null, file: file ?? null }]
  }
  const keys = new Set([...Object.keys(stored), ...Object.keys(file)])
  const step = (key: string): string => {
    if (Array.isArray(stored)) return `${path}[${key}]`
    return path === '' ? key : `${path}.${key}`
  }
  return [...keys].flatMap((key) => differencesOf(stored[key], file[key], step(key)))
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown): string {
  return JSON.stringify(value)
}
