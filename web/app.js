// @ts-check
/** The buyer's page: what is sold, buying it, and one's own orders. */
import { buyerOfToken, call, hearServerTime, readToken, serverNowMs, writeToken } from './api.js'
import { Live } from './live.js'
import { buy, pendingOf, resume } from './purchases.js'

/** @typedef {import('./api-types.d.ts').Sale} Sale */
/** @typedef {import('./api-types.d.ts').Order} Order */
/** @typedef {import('./api-types.d.ts').TicketList} TicketList */
/** @typedef {Sale['fares'][number]} Fare */

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id)

/**
 * @param {string} name @param {{ class?: string, text?: string, [attribute: string]: string | undefined }} [attributes]
 * @param {(Node | string)[]} [children] @returns {any}
 */
function make(name, attributes = {}, children = []) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue
    if (key === 'text') element.textContent = value
    else element.setAttribute(key, value)
  }
  element.append(...children)
  return element
}

/** Only what changed is written, so that nothing flickers and nothing is read out twice. @param {any} element @param {string} text */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** @param {string} text For those who do not see the page. */
function say(text) {
  write(at('said'), text)
}

/** @type {Sale[]} */
let sales = []
/** @type {string | null} */
let shownId = null
/** @type {Live | null} */
let live = null
/** @type {Map<string, Order>} */
const orders = new Map()
/** What a fare's last purchase came to, or is coming to. @type {Map<string, { kind: string, text: string }>} */
const notices = new Map()
/** Tickets of paid orders, once read. @type {Map<string, TicketList>} */
const tickets = new Map()
/** Calls that this cluster does not have. @type {Set<string>} */
const absent = new Set()

const shown = () => sales.find(({ id }) => id === shownId) ?? null

/** @param {{ amount: number, currency: string }} money */
function priceText({ amount, currency }) {
  const format = new Intl.NumberFormat(undefined, { style: 'currency', currency })
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2))
}

/** @param {number} ms */
function durationText(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ]
  const clock = [hours, minutes, seconds % 60].map((part) => String(part).padStart(2, '0'))
  if (days > 0) return `${days} d ${clock.join(':')}`
  return (hours > 0 ? clock : clock.slice(1)).join(':')
}

const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

// Sales

async function loadSales() {
  const answer = await call('GET', '/api/sales')
  const isKnown = answer.status === 200
  if (isKnown) sales = [.../** @type {import('./api-types.d.ts').SaleList} */ (answer.body).items]
  trouble(isKnown ? null : 'The sales cannot be shown right now. Trying again.')
  if (!isKnown) setTimeout(() => void loadSales(), 2000)
  route()
}

/** @param {string | null} text */
function trouble(text) {
  at('trouble').hidden = text === null
  write(at('trouble'), text ?? '')
}

/** What the address says is shown; a lone sale is shown at once. */
function route() {
  const [, wanted] = /^#\/sale\/([a-z0-9-]+)$/.exec(location.hash) ?? []
  const lone = sales.length === 1 ? sales[0]?.id : undefined
  show(wanted ?? lone ?? null)
}

/** @param {string | null} saleId */
function show(saleId) {
  if (saleId !== shownId) {
    live?.leave()
    live = null
    shownId = saleId
    at('fares').replaceChildren()
    if (saleId !== null) live = new Live(saleId, ears(saleId))
  }
  draw()
}

/** @param {string} saleId @returns {import('./live.js').Ears} */
function ears(saleId) {
  return {
    onAvailability({ state, fares }) {
      sales = sales.map((sale) => {
        if (sale.id !== saleId) return sale
        const now = new Map(fares.map((fare) => [fare.id, fare]))
        return { ...sale, state, fares: sale.fares.map((fare) => ({ ...fare, ...now.get(fare.id) })) }
      })
      draw()
    },
    onOrder: hearOrder,
    onConnection(isConnected) {
      write(at('connection'), isConnected ? '' : 'Connection lost; reconnecting. What you see may be old.')
    },
    onBadToken: () => signOut('Your sign-in has ended. Sign in again.'),
    onNoSuchSale: () => trouble('There is no such sale.'),
  }
}

/** @param {Order} order */
function hearOrder(order) {
  hearServerTime(order.serverTime)
  const before = orders.get(order.id)
  orders.set(order.id, order)
  if (before !== undefined && before.state !== order.state) say(`Your order is now ${stateText(order)}.`)
  draw()
}

// Signing in

function goSignIn() {
  at('sign-in').scrollIntoView({ block: 'center' })
  const target = at('token-form').hidden ? at('demo') : at('token')
  target.focus()
}

async function signIn() {
  const answer = await call('POST', '/api/demo/session')
  const session = /** @type {import('./api-types.d.ts').Session} */ (answer.body)
  if (answer.problem === null && answer.status > 0 && typeof session?.token === 'string') {
    useToken(session.token)
    return
  }
  at('demo').hidden = true
  at('token-form').hidden = false
  at('token').focus()
}

/** @param {string} token */
function useToken(token) {
  writeToken(token)
  orders.clear()
  live?.renew()
  void loadOrders()
  resume(watcher)
  draw()
}

/** @param {string | null} why */
function signOut(why) {
  writeToken(null)
  orders.clear()
  tickets.clear()
  notices.clear()
  live?.renew()
  trouble(why)
  draw()
}

async function loadOrders() {
  if (readToken() === null) return
  const answer = await call('GET', '/api/orders')
  if (answer.status === 401) signOut('This token does not hold. Sign in again.')
  if (answer.status !== 200) return
  for (const order of /** @type {import('./api-types.d.ts').OrderList} */ (answer.body).items)
    orders.set(order.id, order)
  draw()
}

// Buying

/** @param {{ saleId: string, fareId: string }} of */
const fareKey = ({ saleId, fareId }) => `${saleId}/${fareId}`

/** @type {import('./purchases.js').Watcher} */
const watcher = {
  onSending(purchase, attempt) {
    const text =
      attempt === 1 ? 'Buying…' : `No answer yet. Trying again with the same order number (attempt ${attempt}).`
    notices.set(fareKey(purchase), { kind: 'trying', text })
    draw()
  },
  onAgain(purchase, attempt, waitMs) {
    const text = `No answer yet. Trying again in ${Math.ceil(waitMs / 1000)} s (attempt ${attempt + 1}). You will not buy twice.`
    notices.set(fareKey(purchase), { kind: 'trying', text })
    say('No answer yet. Trying again. You will not buy twice.')
    draw()
  },
  onEnd({ purchase, order, problem }) {
    if (order !== null) {
      notices.set(fareKey(purchase), { kind: 'done', text: 'Yours. See My orders below.' })
      say('The tickets are yours.')
      hearOrder(order)
    } else {
      const text = refusalText(problem)
      notices.set(fareKey(purchase), { kind: 'trouble', text })
      say(text)
    }
    draw()
  },
  onSignedOut: () => signOut('Sign in to go on with your purchase.'),
}

/** @type {Readonly<Record<string, string>>} */
const REFUSALS = {
  sold_out: 'Sold out.',
  all_held: 'All tickets are being paid for by others. Some may come back: try again in a moment.',
  not_enough: 'Not that many are left. Try fewer.',
  limit_reached: 'You have as many tickets as one buyer may have.',
  not_open: 'The sale has not begun.',
  paused: 'The sale is paused. Try again in a moment.',
  closed: 'The sale is closed.',
}

/** @param {import('./api-types.d.ts').Problem | null} problem */
function refusalText(problem) {
  return REFUSALS[problem?.code ?? ''] ?? problem?.title ?? 'That did not work.'
}

// Orders

/** @param {Order} order @param {string} method @param {string} part @returns {Promise<any>} null when refused; says why */
async function act(order, method, part) {
  const answer = await call(method, `/api/orders/${order.id}${part}`)
  if (answer.status > 0 && answer.problem === null) return answer.body
  if (answer.problem?.code === 'not_found' || answer.problem?.code === 'method_not_allowed') absent.add(method + part)
  else trouble(answer.problem?.title ?? 'No answer. Try again.')
  draw()
  return null
}

/** @param {Order} order */
async function pay(order) {
  const payment = await act(order, 'POST', '/payment')
  if (payment !== null) location.assign(payment.redirectUrl)
}

/** @param {Order} order */
async function cancel(order) {
  const cancelled = await act(order, 'DELETE', '')
  if (cancelled !== null) hearOrder(cancelled)
}

/** @param {Order} order */
async function showTickets(order) {
  const list = await act(order, 'GET', '/tickets')
  if (list !== null) tickets.set(order.id, list)
  draw()
}

/** @param {Order} order */
function stateText({ state, reason }) {
  if (state !== 'released') return state === 'paid' ? 'paid' : 'held for you'
  return reason === 'expired' ? 'expired: it was not paid in time' : (reason ?? 'released')
}

// Drawing

function draw() {
  const sale = shown()
  const buyer = readToken() === null ? null : buyerOfToken()
  write(at('who'), buyer ?? '')
  at('sign-out').hidden = buyer === null
  at('sign-in').hidden = buyer !== null
  at('sales').hidden = shownId !== null
  at('sale').hidden = sale === null
  at('back').hidden = sales.length < 2
  at('orders').hidden = buyer === null
  drawSales()
  if (sale !== null) drawSale(sale)
  drawOrders()
  tick()
}

/** One element per key, made once, in order. @param {any} list @param {string[]} keys @param {(key: string) => any} makeOne */
function keep(list, keys, makeOne) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]))
  const wanted = keys.map((key) => {
    const element = known.get(key) ?? makeOne(key)
    element.dataset.key = key
    return element
  })
  const isSame = wanted.length === list.children.length && wanted.every((element, i) => list.children[i] === element)
  if (!isSame) list.replaceChildren(...wanted)
  return wanted
}

function drawSales() {
  const cards = keep(
    at('sale-list'),
    sales.map(({ id }) => id),
    (id) =>
      make('li', { class: 'card' }, [
        make('h3', {}, [make('a', { href: `#/sale/${id}` })]),
        make('p', { class: 'state' }),
      ]),
  )
  for (const [i, card] of cards.entries()) {
    const sale = /** @type {Sale} */ (sales[i])
    write(card.querySelector('a'), sale.name)
    write(card.querySelector('p'), saleStateText(sale))
  }
}

/** @param {Sale} sale */
function saleStateText({ state, opensAt, closesAt, recovering }) {
  if (recovering) return 'Being recovered; back in a moment'
  if (state === 'scheduled') return opensAt === null ? 'Not open yet' : `Opens ${dayAndTime.format(new Date(opensAt))}`
  if (state === 'paused') return 'Paused'
  if (state === 'closed') return 'Closed'
  return closesAt === null ? 'On sale' : `On sale until ${dayAndTime.format(new Date(closesAt))}`
}

/** @param {Sale} sale */
function drawSale(sale) {
  document.title = `${sale.name} · Farebox`
  write(at('sale-name'), sale.name)
  write(at('sale-state'), saleStateText(sale))
  const cards = keep(
    at('fares'),
    sale.fares.map(({ id }) => id),
    (id) => makeFare(sale, id),
  )
  for (const [i, card] of cards.entries()) drawFare(sale, /** @type {Fare} */ (sale.fares[i]), card)
}

/** @param {Sale} sale @param {string} fareId */
function makeFare(sale, fareId) {
  const ofWhat = `quantity-${fareId}`
  const select = make(
    'select',
    { id: ofWhat },
    Array.from({ length: Math.min(sale.limitPerBuyer, 20) }, (_, i) =>
      make('option', { value: String(i + 1), text: String(i + 1) }),
    ),
  )
  const button = make('button', { text: 'Buy' })
  button.addEventListener('click', () => {
    if (readToken() === null) goSignIn()
    else buy({ saleId: sale.id, fareId, quantity: Number(select.value) }, watcher)
  })
  return make('li', { class: 'card' }, [
    make('div', { class: 'row' }, [make('h3'), make('span', { class: 'price' })]),
    make('p', { class: 'left' }),
    make('div', { class: 'actions' }, [
      make('div', {}, [make('label', { for: ofWhat, text: 'Tickets' }), select]),
      button,
    ]),
    make('p', { class: 'notice', hidden: '' }),
  ])
}

/** @param {Sale} sale @param {Fare} fare @param {any} card */
function drawFare(sale, fare, card) {
  write(card.querySelector('h3'), fare.name)
  write(card.querySelector('.price'), priceText(fare.price))
  const left = card.querySelector('.left')
  left.className = `left ${fare.availability}`
  write(left, availabilityText(fare))
  const isUnderWay = pendingOf(sale.id, fare.id) !== null
  const button = card.querySelector('button')
  const isSignedIn = readToken() !== null
  card.querySelector('.actions').hidden = fare.availability === 'sold_out' && !isUnderWay
  button.disabled = isUnderWay || (isSignedIn && sale.state !== 'open')
  write(button, isUnderWay ? 'Buying…' : isSignedIn ? 'Buy' : 'Sign in to buy')
  button.setAttribute('aria-label', `${button.textContent}: ${fare.name}`)
  card.querySelector('select').disabled = button.disabled || !isSignedIn
  const notice = notices.get(fareKey({ saleId: sale.id, fareId: fare.id }))
  const place = card.querySelector('.notice')
  place.hidden = notice === undefined
  place.className = `notice ${notice?.kind ?? ''}`
  write(place, notice?.text ?? '')
}

/** @param {Fare} fare */
function availabilityText({ availability, remaining }) {
  if (availability === 'sold_out') return 'Sold out'
  if (availability === 'all_held') return 'All held by others; some may come back'
  return `${remaining.toLocaleString()} left`
}

function drawOrders() {
  const mine = [...orders.values()].toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
  at('no-orders').hidden = mine.length > 0
  const cards = keep(
    at('order-list'),
    mine.map(({ id }) => id),
    makeOrder,
  )
  for (const [i, card] of cards.entries()) drawOrder(/** @type {Order} */ (mine[i]), card)
}

/** @param {string} id */
function makeOrder(id) {
  /** @param {string} part @param {string} text @param {(order: Order) => Promise<void>} work @param {string} [kind] */
  const button = (part, text, work, kind = '') => {
    const made = make('button', { 'data-part': part, class: kind, text })
    made.addEventListener('click', () => void work(/** @type {Order} */ (orders.get(id))))
    return made
  }
  return make('li', { class: 'card' }, [
    make('div', { class: 'row' }, [make('h3'), make('span', { class: 'price' })]),
    make('p', { class: 'fate' }),
    make('p', { class: 'hint' }, [make('small', { text: `Order ${id}` })]),
    make('div', { class: 'actions' }, [
      button('POST/payment', 'Pay', pay),
      button('DELETE', 'Cancel', cancel, 'quiet'),
      button('GET/tickets', 'Show tickets', showTickets),
    ]),
    make('ul', { class: 'tickets' }),
  ])
}

/** @param {Order} order @param {any} card */
function drawOrder(order, card) {
  const { id, state, quantity, fareId, saleId, total } = order
  const sale = sales.find((one) => one.id === saleId)
  const fare = sale?.fares.find((one) => one.id === fareId)
  write(card.querySelector('h3'), `${quantity} × ${fare?.name ?? fareId}`)
  write(card.querySelector('.price'), priceText(total))
  card.querySelector('.fate').className = `fate ${state}`
  const list = tickets.get(id)
  /** @type {Readonly<Record<string, boolean>>} */
  const fits = {
    'POST/payment': state === 'held',
    DELETE: state === 'held',
    'GET/tickets': state === 'paid' && list === undefined,
  }
  for (const button of card.querySelectorAll('button')) {
    button.hidden = !fits[button.dataset.part] || absent.has(button.dataset.part)
  }
  keep(card.querySelector('.tickets'), state === 'paid' ? (list?.items ?? []).map(({ code }) => code) : [], (code) => {
    const qrSvg = list?.items.find((one) => one.code === code)?.qrSvg ?? ''
    const src = `data:image/svg+xml,${encodeURIComponent(qrSvg)}`
    return make('li', {}, [make('img', { src, alt: 'QR code of the ticket' }), make('code', { text: code })])
  })
}

/** What changes by the clock alone. */
function tick() {
  const nowMs = serverNowMs()
  const sale = shown()
  const opensInMs = sale?.state === 'scheduled' && sale.opensAt !== null ? Date.parse(sale.opensAt) - nowMs : null
  at('countdown').hidden = opensInMs === null
  if (opensInMs !== null) write(at('countdown'), durationText(opensInMs))
  for (const card of at('order-list').children) {
    const order = orders.get(card.dataset.key)
    if (order === undefined) continue
    const leftMs = Date.parse(order.holdExpiresAt) - nowMs
    const held = leftMs > 0 ? `Held for you for ${durationText(leftMs)}` : 'The time to pay is over'
    write(card.querySelector('.fate'), order.state === 'held' ? held : capital(stateText(order)))
  }
}

/** @param {string} text */
function capital(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

at('demo').addEventListener('click', () => void signIn())
at('sign-out').addEventListener('click', () => signOut(null))
at('token-form').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault()
  trouble(null)
  useToken(at('token').value.trim())
})
addEventListener('hashchange', () => {
  route()
  void loadSales()
  at('main').focus()
})
setInterval(tick, 250)
void loadSales()
void loadOrders()
resume(watcher)
