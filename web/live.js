// @ts-check
/** The live connection to one sale: comes back by itself until it is left. */
import { hearServerTime, readToken } from './api.js'

/** @typedef {import('./api-types.d.ts').LiveAvailability} Availability */
/** @typedef {import('./api-types.d.ts').Order} Order */
/**
 * @typedef {object} Ears
 * @property {(message: Availability) => void} onAvailability
 * @property {(order: Order) => void} onOrder
 * @property {(isConnected: boolean) => void} onConnection
 * @property {() => void} onBadToken
 * @property {() => void} onNoSuchSale
 */

const BAD_TOKEN = 4401
const NO_SUCH_SALE = 4404
const AGAIN_MAX_MS = 10_000

export class Live {
  /** @type {WebSocket | null} */
  #socket = null
  /** @type {number | undefined} */
  #timer
  #failures = 0
  #isLeft = false
  #saleId
  #ears

  /** @param {string} saleId @param {Ears} ears */
  constructor(saleId, ears) {
    this.#saleId = saleId
    this.#ears = ears
    this.#connect()
  }

  leave() {
    this.#isLeft = true
    clearTimeout(this.#timer)
    this.#socket?.close(1000)
  }

  /** Somebody signed in or out. */
  renew() {
    const token = readToken()
    if (token === null) this.#socket?.close(1000)
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: 'auth', token }))
  }

  #connect() {
    const url = new URL(`/api/live?sale=${encodeURIComponent(this.#saleId)}`, location.href)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    const socket = new WebSocket(url)
    this.#socket = socket
    socket.addEventListener('open', () => {
      this.#ears.onConnection(true)
      if (readToken() !== null) this.renew()
    })
    socket.addEventListener('message', ({ data }) => {
      this.#failures = 0
      this.#hear(JSON.parse(String(data)))
    })
    socket.addEventListener('close', ({ code }) => this.#onClose(code))
  }

  /** @param {any} message */
  #hear(message) {
    if (typeof message.serverTime === 'string') hearServerTime(message.serverTime)
    if (message.type === 'availability') this.#ears.onAvailability(message)
    if (message.type === 'order') this.#ears.onOrder(message.order)
  }

  /** @param {number} code */
  #onClose(code) {
    if (this.#isLeft) return
    this.#ears.onConnection(false)
    if (code === NO_SUCH_SALE) {
      this.#ears.onNoSuchSale()
      return
    }
    if (code === BAD_TOKEN) this.#ears.onBadToken()
    const againMs = Math.min(500 * 2 ** this.#failures, AGAIN_MAX_MS) * (0.7 + 0.6 * Math.random())
    this.#failures += 1
    this.#timer = setTimeout(() => this.#connect(), againMs)
  }
}
