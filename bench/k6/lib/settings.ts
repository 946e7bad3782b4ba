/** What the runner tells a scenario, by k6's `--env`. */

export function text(name: string): string {
  const value = __ENV[name]
  if (value === undefined || value === '') throw new Error(`--env ${name}=… is missing`)
  return value
}

export function number(name: string): number {
  const value = Number(text(name))
  if (!Number.isFinite(value)) throw new Error(`--env ${name}=${__ENV[name]}: a number is expected`)
  return value
}

export function list(name: string): string[] {
  return text(name).split(',')
}

export const buyers = number('BUYERS')
export const seconds = number('SECONDS')
/** Base URLs: of nginx first, then of each node. */
export const urls = list('URLS')
export const sale = text('SALE')
/** Fares in the order of the sale file, and how many tickets each has. */
export const fares = list('FARES')
export const stocks = list('STOCKS').map(Number)
export const stock = stocks.reduce((sum, one) => sum + one, 0)
export const vus = number('VUS')
/** A repeat carries the same key. */
export const runId = text('RUN')
