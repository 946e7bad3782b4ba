/** What is wrong with a file somebody wrote, all of it at once. */
export interface Fault {
  /** Where: an option path, a place in a sale file such as `fares[1].stock`, or empty for the whole file. */
  readonly path: string
  /** What stands there, secrets masked; `undefined` where nothing does. */
  readonly value: unknown
  /** What is wrong and what is allowed. */
  readonly message: string
}

export type Checked<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly faults: readonly Fault[] }

/** One line per fault, for people. */
export function describeFaults(faults: readonly Fault[]): string {
  return faults
    .map(({ path, value, message }) => {
      const place = path === '' ? '' : `${path}: `
      return value === undefined ? `${place}${message}` : `${place}${message} (found ${JSON.stringify(value)})`
    })
    .join('\n')
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
