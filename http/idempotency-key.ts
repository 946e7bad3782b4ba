/** The name that a buyer gives to one wish, so that repeating it has one effect. */
const KEY = /^[A-Za-z0-9_-]{8,64}$/

export function isIdempotencyKey(text: string): boolean {
  return KEY.test(text)
}
