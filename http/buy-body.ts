/**
 * Reads the body of a buy call. Absent or empty means one ticket, whatever the Content-Type; unknown members are
 * ignored. Whether a number is a quantity that may be bought is judged later, with everything else.
 */
export type BuyBody =
  | { readonly outcome: 'read'; /** As asked: any number. */ readonly quantity: number }
  | { readonly outcome: 'malformed'; readonly detail: string }

const ONE: BuyBody = { outcome: 'read', quantity: 1 }
const NOT_JSON: BuyBody = { outcome: 'malformed', detail: 'the body is not JSON' }
const NOT_OBJECT: BuyBody = { outcome: 'malformed', detail: 'the body is not a JSON object' }
const NOT_NUMBER: BuyBody = { outcome: 'malformed', detail: 'quantity is not a number' }

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function readBuyBody(body: Uint8Array | null): BuyBody {
  if (body === null || body.length === 0) return ONE
  let document: unknown
  try {
    document = JSON.parse(utf8.decode(body))
  } catch {
    return NOT_JSON
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return NOT_OBJECT
  const quantity = (document as { readonly quantity?: unknown }).quantity
  if (quantity === undefined) return ONE
  return typeof quantity === 'number' ? { outcome: 'read', quantity } : NOT_NUMBER
}
