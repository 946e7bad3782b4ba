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

/** What nearly every buyer sends, with one digit between: read without making text of it. */
const USUAL = Buffer.from('{"quantity":1}')
const DIGIT_AT = USUAL.indexOf('1')
const ZERO = 48
const DIGITS: readonly BuyBody[] = Array.from({ length: 10 }, (_, quantity) => ({ outcome: 'read', quantity }))

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function readBuyBody(body: Uint8Array | null): BuyBody {
  if (body === null || body.length === 0) return ONE
  const usual = readUsual(body)
  if (usual !== undefined) return usual
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

function readUsual(body: Uint8Array): BuyBody | undefined {
  if (body.length !== USUAL.length) return undefined
  for (let index = 0; index < USUAL.length; index += 1) {
    if (body[index] !== USUAL[index] && index !== DIGIT_AT) return undefined
  }
  return DIGITS[(body[DIGIT_AT] as number) - ZERO]
}
