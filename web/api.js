// @ts-check
/** Calls to the API, the server's clock, and who is signed in. */

/** @typedef {import('./api-types.d.ts').Problem} Problem */
/** @typedef {{ status: number, body: unknown, problem: Problem | null }} Answer Status 0: no answer came. */

const CALL_TIMEOUT_MS = 8000

/** The server's clock less ours, as of its last word. */
let aheadMs = 0

/** @param {string} serverTime */
export function hearServerTime(serverTime) {
  const heardMs = Date.parse(serverTime)
  if (Number.isFinite(heardMs)) aheadMs = heardMs - Date.now()
}

export function serverNowMs() {
  return Date.now() + aheadMs
}

/**
 * Never throws: trouble is an answer too.
 * @param {string} method @param {string} path
 * @param {{ body?: unknown, key?: string }} [more]
 * @returns {Promise<Answer>}
 */
export async function call(method, path, more = {}) {
  const token = readToken()
  /** @type {Record<string, string>} */
  const headers = {}
  if (token !== null) headers['Authorization'] = `Bearer ${token}`
  if (more.key !== undefined) headers['Idempotency-Key'] = more.key
  if (more.body !== undefined) headers['Content-Type'] = 'application/json'
  try {
    const response = await fetch(path, {
      method,
      headers,
      cache: 'no-store',
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      ...(more.body === undefined ? {} : { body: JSON.stringify(more.body) }),
    })
    const text = await response.text()
    /** @type {any} */
    const body = text === '' ? null : JSON.parse(text)
    if (typeof body?.serverTime === 'string') hearServerTime(body.serverTime)
    return { status: response.status, body, problem: response.ok ? null : body }
  } catch {
    return { status: 0, body: null, problem: null }
  }
}

/** @param {Answer} answer Whether it may be sent again with the same key, and should. */
export function isUnanswered({ status }) {
  return status === 0 || status === 429 || status >= 500
}

/** How long to wait before the next time. @param {Answer} answer @param {number} attempt from 1 */
export function waitMs({ problem }, attempt) {
  const asked = problem?.retryAfterMs
  if (typeof asked === 'number') return asked
  return Math.min(1000 * 2 ** (attempt - 1), 8000) * (1 + 0.3 * Math.random())
}

const TOKEN = 'farebox.token'

export function readToken() {
  return localStorage.getItem(TOKEN)
}

/** @param {string | null} token */
export function writeToken(token) {
  if (token === null) localStorage.removeItem(TOKEN)
  else localStorage.setItem(TOKEN, token)
}

/** Whose token it is, by its own word; only to tell one buyer's purchases from another's. */
export function buyerOfToken() {
  try {
    const [, payload = ''] = (readToken() ?? '').split('.')
    const bytes = atob(payload.replaceAll('-', '+').replaceAll('_', '/'))
    const { sub } = JSON.parse(bytes)
    return typeof sub === 'string' ? sub : null
  } catch {
    return null
  }
}
