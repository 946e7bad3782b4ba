// @ts-check
/**
 * Purchases that have no final answer yet. Each is written down with its key before it is sent for the first time, and
 * struck off with its final answer. So a purchase survives a reload, and however often it is sent, it is one order.
 */
import { buyerOfToken, call, isUnanswered, waitMs } from './api.js'

/** @typedef {import('./api-types.d.ts').Order} Order */
/** @typedef {{ key: string, buyer: string, saleId: string, fareId: string, quantity: number }} Purchase */
/** @typedef {{ purchase: Purchase, order: Order | null, problem: import('./api-types.d.ts').Problem | null }} Outcome */
/**
 * @typedef {object} Watcher
 * @property {(purchase: Purchase, attempt: number) => void} onSending
 * @property {(purchase: Purchase, attempt: number, waitMs: number) => void} onAgain no answer: it is sent again
 * @property {(outcome: Outcome) => void} onEnd
 * @property {() => void} onSignedOut the token does not hold; the purchase waits for its buyer to sign in
 */

const PENDING = 'farebox.purchases'

/** Keys that are being sent by this page. @type {Set<string>} */
const underWay = new Set()

/** @returns {Purchase[]} */
function readAll() {
  try {
    const all = JSON.parse(localStorage.getItem(PENDING) ?? '[]')
    return Array.isArray(all) ? all : []
  } catch {
    return []
  }
}

/** @param {Purchase[]} all */
function writeAll(all) {
  localStorage.setItem(PENDING, JSON.stringify(all))
}

function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** @param {string} saleId @param {string} fareId */
export function pendingOf(saleId, fareId) {
  const buyer = buyerOfToken()
  return readAll().find((one) => one.buyer === buyer && one.saleId === saleId && one.fareId === fareId) ?? null
}

/** @param {Omit<Purchase, 'key' | 'buyer'>} wish @param {Watcher} watcher */
export function buy(wish, watcher) {
  const buyer = buyerOfToken()
  if (buyer === null) {
    watcher.onSignedOut()
    return
  }
  const purchase = { ...wish, key: newKey(), buyer }
  writeAll([...readAll(), purchase])
  void send(purchase, watcher)
}

/** Goes on with what a former page left without an answer. @param {Watcher} watcher */
export function resume(watcher) {
  const buyer = buyerOfToken()
  for (const purchase of readAll()) {
    if (purchase.buyer === buyer && !underWay.has(purchase.key)) void send(purchase, watcher)
  }
}

/** @param {Purchase} purchase @param {Watcher} watcher */
async function send(purchase, watcher) {
  const { key, buyer, saleId, fareId, quantity } = purchase
  underWay.add(key)
  for (let attempt = 1; ; attempt += 1) {
    // Under another buyer's token the same key would be another order.
    if (buyerOfToken() !== buyer) break
    watcher.onSending(purchase, attempt)
    const path = `/api/sales/${encodeURIComponent(saleId)}/fares/${encodeURIComponent(fareId)}/orders`
    const answer = await call('POST', path, { key, body: { quantity } })
    if (answer.status === 401) {
      watcher.onSignedOut()
      break
    }
    if (!isUnanswered(answer)) {
      writeAll(readAll().filter((one) => one.key !== key))
      underWay.delete(key)
      const order = answer.problem === null ? /** @type {Order} */ (answer.body) : null
      watcher.onEnd({ purchase, order, problem: answer.problem })
      return
    }
    const pauseMs = waitMs(answer, attempt)
    watcher.onAgain(purchase, attempt, pauseMs)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  underWay.delete(key)
}
