/**
 * Reads a sale file, as an operator writes it, and tells all its faults at once.
 *
 * What comes out lacks only the order-id secret, which is made with the sale.
 */
import { LineCounter, parseDocument } from 'yaml'
import type { FareDefinition, Price, SaleDefinition } from '../stock/core/words.ts'
import { isPlainObject, type Checked, type Fault } from './faults.ts'

export type SaleFile = Omit<SaleDefinition, 'orderIdSecret'>

const ID = /^[a-z0-9][a-z0-9-]{0,31}$/
const ID_ALLOWED = 'allowed are 1 to 32 of a-z, 0-9 and -, not starting with -'
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/
const TIME_ALLOWED = 'allowed is a time with offset, such as 2027-01-20T10:00:00+08:00'
const MAX_STOCK = 1_000_000_000
const MAX_FARES = 1000
const MAX_HOLD_SECONDS = 31_536_000
const MAX_NAME = 200
const SALE_KEYS = ['id', 'name', 'opensAt', 'closesAt', 'limitPerBuyer', 'holdSeconds', 'fares']
const FARE_KEYS = ['id', 'name', 'stock', 'price']
const PRICE_KEYS = ['amount', 'currency']

export function parseSaleFile(text: string): Checked<SaleFile> {
  const lineCounter = new LineCounter()
  // The core schema reads a time as text: YAML's own timestamps would lose the offset that is required here.
  const document = parseDocument(text, { schema: 'core', lineCounter })
  if (document.errors.length > 0) {
    return { ok: false, faults: document.errors.map(({ message }) => ({ path: '', value: undefined, message })) }
  }
  return checkSale(document.toJS({ maxAliasCount: 100 }) as unknown)
}

/** The same for a document that is parsed already. */
export function checkSale(document: unknown): Checked<SaleFile> {
  const faults: Fault[] = []
  if (!isPlainObject(document)) {
    return { ok: false, faults: [{ path: '', value: document, message: 'a sale is a map with id, name and fares' }] }
  }
  const reader = new Reader(faults)
  reader.onlyKeys(document, SALE_KEYS, '')
  const opensAtMs = reader.time(document['opensAt'], 'opensAt')
  const closesAtMs = reader.time(document['closesAt'], 'closesAt')
  if (opensAtMs !== null && closesAtMs !== null && closesAtMs <= opensAtMs) {
    faults.push({ path: 'closesAt', value: document['closesAt'], message: 'must be after opensAt' })
  }
  const limitPerBuyer = reader.whole(document['limitPerBuyer'], 'limitPerBuyer', 1, MAX_STOCK)
  const holdSeconds = reader.whole(document['holdSeconds'], 'holdSeconds', 1, MAX_HOLD_SECONDS)
  const id = reader.id(document['id'], 'id')
  const name = reader.name(document['name'], 'name')
  const fares = reader.fares(document['fares'])
  if (faults.length > 0) return { ok: false, faults }
  return { ok: true, value: { id, name, opensAtMs, closesAtMs, limitPerBuyer, holdMs: holdSeconds * 1000, fares } }
}

/** Each method notes a fault and returns something of the right type, so that reading goes on to the next fault. */
class Reader {
  readonly #faults: Fault[]

  constructor(faults: Fault[]) {
    this.#faults = faults
  }

  onlyKeys(map: Record<string, unknown>, keys: readonly string[], prefix: string): void {
    for (const [key, value] of Object.entries(map)) {
      if (!keys.includes(key)) this.#fault(prefix + key, value, `no such key; allowed are ${keys.join(', ')}`)
    }
  }

  id(value: unknown, path: string): string {
    if (typeof value === 'string' && ID.test(value)) return value
    this.#fault(path, value, ID_ALLOWED)
    return ''
  }

  name(value: unknown, path: string): string {
    if (typeof value === 'string' && value.trim() !== '' && value.length <= MAX_NAME) return value
    this.#fault(path, value, `allowed is text of 1 to ${MAX_NAME} characters`)
    return ''
  }

  whole(value: unknown, path: string, minimum: number, maximum: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum) return value
    this.#fault(path, value, `allowed is a whole number from ${minimum} to ${maximum}`)
    return minimum
  }

  /** Milliseconds since 1970, or null where nothing is written. */
  time(value: unknown, path: string): number | null {
    if (value === undefined || value === null) return null
    const ms = typeof value === 'string' && TIME.test(value) && isCalendarDay(value) ? Date.parse(value) : Number.NaN
    if (!Number.isNaN(ms)) return ms
    this.#fault(path, value, TIME_ALLOWED)
    return null
  }

  fares(value: unknown): FareDefinition[] {
    if (!Array.isArray(value) || value.length < 1 || value.length > MAX_FARES) {
      this.#fault('fares', Array.isArray(value) ? value.length : value, `allowed is a list of 1 to ${MAX_FARES} fares`)
      return []
    }
    const firstPlaces = new Map<string, string>()
    return value.map((item: unknown, index) => {
      const path = `fares[${index}]`
      const fare = this.#fare(item, path)
      const first = firstPlaces.get(fare.id)
      if (first !== undefined && fare.id !== '') this.#fault(`${path}.id`, fare.id, `already used by ${first}`)
      else firstPlaces.set(fare.id, path)
      return fare
    })
  }

  #fare(value: unknown, path: string): FareDefinition {
    if (!isPlainObject(value)) {
      this.#fault(path, value, 'a fare is a map with id, name, stock and price')
      return { id: '', name: '', stock: 0, price: { amount: 0, currency: '' } }
    }
    this.onlyKeys(value, FARE_KEYS, `${path}.`)
    return {
      id: this.id(value['id'], `${path}.id`),
      name: this.name(value['name'], `${path}.name`),
      stock: this.whole(value['stock'], `${path}.stock`, 0, MAX_STOCK),
      price: this.#price(value['price'], `${path}.price`),
    }
  }

  #price(value: unknown, path: string): Price {
    if (!isPlainObject(value)) {
      this.#fault(path, value, 'a price is a map with amount and currency')
      return { amount: 0, currency: '' }
    }
    this.onlyKeys(value, PRICE_KEYS, `${path}.`)
    const amount = this.whole(value['amount'], `${path}.amount`, 0, Number.MAX_SAFE_INTEGER)
    const currency = value['currency']
    if (typeof currency === 'string' && /^[A-Z]{3}$/.test(currency)) return { amount, currency }
    this.#fault(`${path}.currency`, currency, 'allowed is an ISO 4217 code, three capital letters')
    return { amount, currency: '' }
  }

  #fault(path: string, value: unknown, message: string): void {
    this.#faults.push({ path, value, message })
  }
}

/** `Date.parse` turns 30 February into 2 March; a typing error must not move a sale. */
function isCalendarDay(time: string): boolean {
  const day = Date.parse(`${time.slice(0, 10)}T00:00:00Z`)
  return !Number.isNaN(day) && new Date(day).toISOString().slice(0, 10) === time.slice(0, 10)
}
