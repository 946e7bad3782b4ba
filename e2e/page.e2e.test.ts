/** The buyer page in a real browser on a phone's screen, through nginx. */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buyOnce, freshKey, jsonOf, request } from './client.ts'
import { Cluster, saleText } from './cluster.ts'
import { wishOf } from './rush.ts'
import { until } from './wait.ts'

const WEB = join(import.meta.dirname, '..', 'web')
/** Where pictures of the screens go when somebody wants to look at them. */
const PICTURES = process.env['PICTURES_DIR']

let browser: Browser
let cluster: Cluster
let url = ''
const contexts: BrowserContext[] = []
const complaints: string[] = []

beforeAll(async () => {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args })
  cluster = await Cluster.up({ nodes: 2, sale: saleText({ seat: 8, standing: 1 }, { limitPerBuyer: 4 }) })
  url = cluster.view.url
})
afterAll(async () => {
  await browser.close()
  await cluster.end()
})
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
  expect(complaints.splice(0)).toEqual([])
})

/** A phone of its own. */
async function phone(site = url, dark = false): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    locale: 'en-GB',
    colorScheme: dark ? 'dark' : 'light',
  })
  contexts.push(context)
  const page = await context.newPage()
  page.on('console', (message) => {
    // A refusal is an answer like any other; browsers write it down all the same.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      complaints.push(message.text())
    }
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (sent) => {
    const { protocol, host } = new URL(sent.url())
    if (protocol !== 'data:' && host !== new URL(site).host) complaints.push(`asks elsewhere: ${sent.url()}`)
  })
  await page.goto(site)
  return page
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
}

async function signIn(page: Page, buyer: string): Promise<void> {
  const token = await cluster.token(buyer)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  const field = page.getByLabel('Your token')
  // With demo sign-in there is no field, and the buyer is a new one.
  await field.fill(token)
  await page.getByRole('button', { name: 'Use this token' }).click()
  await page.getByText(buyer, { exact: true }).waitFor()
}

function fare(page: Page, place: number) {
  return page.locator('#fares > li').nth(place)
}

async function ordersOf(buyer: string): Promise<readonly { id: string; state: string; quantity: number }[]> {
  const headers = { Authorization: `Bearer ${await cluster.token(buyer)}` }
  return jsonOf(await request(`${url}/api/orders`, { headers }))['items'] as {
    id: string
    state: string
    quantity: number
  }[]
}

describe('the buyer page', () => {
  it('is small, comes with a strict policy and asks nobody else', async () => {
    const bytes = readdirSync(WEB).reduce((sum, name) => sum + statSync(join(WEB, name)).size, 0)
    expect(bytes).toBeLessThan(60_000)
    const { status, headers } = await request(url)
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(readFileSync(join(WEB, 'index.html'), 'utf8')).not.toMatch(/https?:\/\//)
  })

  it('sells tickets to a phone, and shows the order and what is left', async () => {
    const page = await phone()
    await page.getByRole('heading', { name: 'The rush' }).waitFor()
    await fare(page, 0).getByText('8 left').waitFor()
    await fare(page, 0).getByRole('button', { name: 'Sign in to buy' }).click()
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Sign in')
    await picture(page, 'signed-out')
    await signIn(page, 'ann')
    await fare(page, 0).getByLabel('Tickets').selectOption('2')
    await fare(page, 0).getByRole('button', { name: 'Buy' }).click()
    await page.locator('#order-list').getByText('2 × Seat').waitFor()
    await page
      .locator('#order-list')
      .getByText(/^Held for you for 0?9:\d\d$/)
      .waitFor()
    await fare(page, 0).getByText('6 left').waitFor()
    await picture(page, 'bought')
    expect((await ordersOf('ann')).map(({ quantity }) => quantity)).toEqual([2])
    // Nothing is wider than the phone.
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
    const dark = await phone(url, true)
    await fare(dark, 0).getByText('6 left').waitFor()
    await picture(dark, 'dark')
  })

  it('can be used by keyboard alone', async () => {
    const page = await phone()
    await signIn(page, 'kim')
    const button = fare(page, 0).getByRole('button', { name: 'Buy' })
    await page.locator('body').press('Tab')
    for (let presses = 0; presses < 20; presses += 1) {
      if (await button.evaluate('document.activeElement && document.activeElement.textContent === "Buy"')) break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.locator('#order-list').getByText('1 × Seat').waitFor()
    // Every control has a name, every field a label.
    const nameless = await page.evaluate(
      `[...document.querySelectorAll('button, select, input, a')].filter((element) =>
        element.checkVisibility() && !element.textContent.trim() && !element.ariaLabel && !element.labels?.length).length`,
    )
    expect(nameless).toBe(0)
  })

  it('makes one order of a purchase that is sent again and again, over a reload', async () => {
    const page = await phone()
    await signIn(page, 'bob')
    let sent = 0
    const keys = new Set<string>()
    // The purchase arrives and is carried out, but its answer is lost; later calls are answered that they are too many.
    await page.route('**/api/sales/*/fares/*/orders', async (route) => {
      sent += 1
      keys.add(route.request().headers()['idempotency-key'] ?? '')
      if (sent === 1) {
        await route.fetch()
        await route.abort('connectionreset')
      } else {
        const body = { code: 'busy', title: 'Too much to do right now', retryAfterMs: 300, status: 503 }
        await route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify(body) })
      }
    })
    await fare(page, 0).getByRole('button', { name: 'Buy' }).click()
    await fare(page, 0)
      .getByText(/Trying again/)
      .waitFor()
    await picture(page, 'trying-again')
    await until('it is sent again', () => sent >= 3)
    await page.reload()
    await fare(page, 0)
      .getByText(/Trying again/)
      .waitFor()
    const before = sent
    await until('the page goes on after the reload', () => sent > before)
    await page.unroute('**/api/sales/*/fares/*/orders')
    await fare(page, 0).getByText('Yours.').waitFor()
    expect(keys.size).toBe(1)
    expect(await ordersOf('bob')).toHaveLength(1)
    await page.reload()
    await page.locator('#order-list').getByText('1 × Seat').waitFor()
    expect(await ordersOf('bob')).toHaveLength(1)
  })

  it('does not send a purchase of one buyer as another', async () => {
    const page = await phone()
    await signIn(page, 'cat')
    await page.route('**/api/sales/*/fares/*/orders', (route) => route.abort('connectionreset'))
    await fare(page, 0).getByRole('button', { name: 'Buy' }).click()
    await fare(page, 0)
      .getByText(/Trying again/)
      .waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.unroute('**/api/sales/*/fares/*/orders')
    const field = page.getByLabel('Your token')
    if (!(await field.isVisible())) await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await field.fill(await cluster.token('dan'))
    await page.getByRole('button', { name: 'Use this token' }).click()
    await page.getByText('dan', { exact: true }).waitFor()
    await page.reload()
    await page.getByText('dan', { exact: true }).waitFor()
    expect(await ordersOf('dan')).toEqual([])
    // Back as who began it: now it is sent.
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await field.fill(await cluster.token('cat'))
    await page.getByRole('button', { name: 'Use this token' }).click()
    await page.locator('#order-list').getByText('1 × Seat').waitFor()
    expect(await ordersOf('cat')).toHaveLength(1)
  })

  it('shows at once when others have bought the last one', async () => {
    const page = await phone()
    await signIn(page, 'eve')
    await fare(page, 1).getByText('1 left').waitFor()
    const wish = { ...wishOf({ buyer: 'fay', token: await cluster.token('fay') }), fareId: 'standing', key: freshKey() }
    expect((await buyOnce(wish, url)).status).toBe(201)
    await fare(page, 1).getByText('All held by others').waitFor()
    await fare(page, 1).getByRole('button', { name: 'Buy' }).click()
    await fare(page, 1)
      .getByText(/Some may come back: try again/)
      .waitFor()
    await picture(page, 'all-held')
  })

  it('says why a token does not hold', async () => {
    const page = await phone()
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByLabel('Your token').fill('a.b.c')
    await page.getByRole('button', { name: 'Use this token' }).click()
    await page.getByText(/Sign in again/).waitFor()
    await page.getByRole('button', { name: 'Use this token' }).waitFor()
  })

  it('says when the connection is lost, and comes back', async () => {
    const page = await phone()
    let connections = 0
    await page.routeWebSocket(/\/api\/live/, async (socket) => {
      connections += 1
      if (connections === 1) await socket.close({ code: 1012 })
      else socket.connectToServer()
    })
    await page.reload()
    await page.getByText(/Connection lost/).waitFor()
    await until('it comes back', () => connections > 1)
    await page.getByText(/Connection lost/).waitFor({ state: 'hidden' })
  })
})

it('counts down to the opening, and then sells without a reload', async () => {
  const opensAt = new Date(Date.now() + 20_000).toISOString()
  const sale = saleText({ seat: 5 }, { id: 'soon', name: 'Soon', opensAt })
  const path = cluster.space.file(
    'soon.yaml',
    sale.replace('name: The rush', 'name: Opens soon').replace(/^name: Soon\n/m, ''),
  )
  await cluster.read('sale', 'create', path)
  await until('the sale is known', async () => (await request(`${url}/api/sales/soon`)).status === 200)
  const page = await phone(url)
  await page.getByRole('link', { name: 'Opens soon' }).click()
  await page.getByText(/^00:(1|0)\d$/).waitFor()
  await signIn(page, 'gil')
  const button = fare(page, 0).getByRole('button', { name: 'Buy' })
  expect(await button.isDisabled()).toBe(true)
  await picture(page, 'countdown')
  await page.locator('#sale-state').getByText('On sale').waitFor({ timeout: 30_000 })
  await button.click()
  await page.locator('#order-list').getByText('1 × Seat').waitFor()
})

it('shows a sale that is sold out as sold out', async () => {
  // No payment is needed for the look of it: the server's answer stands for a sale whose last ticket is paid.
  const page = await phone(url)
  await page.route('**/api/sales', async (route) => {
    const answer = await route.fetch()
    const list = (await answer.json()) as {
      items: { id: string; fares: { remaining: number; availability: string }[] }[]
    }
    const items = list.items.filter(({ id }) => id === 'rush')
    for (const { fares } of items)
      for (const one of fares) Object.assign(one, { remaining: 0, availability: 'sold_out' })
    await route.fulfill({ json: { items, nextCursor: null } })
  })
  await page.routeWebSocket(/\/api\/live/, () => {})
  await page.reload()
  await fare(page, 0).getByText('Sold out').waitFor()
  expect(await fare(page, 0).getByRole('button').isVisible()).toBe(false)
  await picture(page, 'sold-out')
})

/** The page's own part of paying, cancelling and tickets: the answers are written here. */
it('signs in for a demo, sends to the payment, cancels, and shows tickets as pictures', async () => {
  const page = await phone(url)
  const token = await cluster.token('hal')
  await page.route('**/api/demo/session', (route) => route.fulfill({ json: { token, buyer: 'hal' } }))
  await page.goto(`${url}/#/sale/rush`)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByText('hal', { exact: true }).waitFor()
  await fare(page, 0).getByRole('button', { name: 'Buy' }).click()
  const order = page.locator('#order-list > li')
  await order.getByText('1 × Seat').waitFor()
  const [made] = await ordersOf('hal')
  await page.route('**/api/orders/*/payment', (route) =>
    route.fulfill({ json: { redirectUrl: `${url}/?paying#/sale/rush` } }),
  )
  await order.getByRole('button', { name: 'Pay' }).click()
  await page.waitForURL(/[?]paying/)
  // As the page finds it after the payment.
  const paid = { ...made, state: 'paid', paidAt: new Date().toISOString() }
  await page.routeWebSocket(/\/api\/live/, () => {})
  await page.route('**/api/orders', (route) => route.fulfill({ json: { items: [paid], nextCursor: null } }))
  const qrSvg =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><script>alert(1)</script><path d="M0 0h2v2H0z"/></svg>'
  await page.route('**/api/orders/*/tickets', (route) =>
    route.fulfill({ json: { items: [{ code: 'FB1.CODE', qrSvg }] } }),
  )
  await page.reload()
  expect(await order.getByRole('button', { name: 'Pay' }).isVisible()).toBe(false)
  await order.getByRole('button', { name: 'Show tickets' }).click()
  await order.getByRole('img', { name: 'QR code of the ticket' }).waitFor()
  await order.getByText('FB1.CODE').waitFor()
  expect(await page.evaluate('document.querySelector(".tickets img").naturalWidth > 0')).toBe(true)
  await picture(page, 'tickets')
  await page.unroute('**/api/orders')
  await page.route('**/api/orders/*', (route) =>
    route.fulfill({ json: { ...made, state: 'released', reason: 'cancelled' } }),
  )
  await page.reload()
  await order.getByRole('button', { name: 'Cancel' }).click()
  await order.getByText('Cancelled').waitFor()
  await picture(page, 'cancelled')
})

it('takes away what this cluster does not have', async () => {
  const page = await phone(url)
  await page.goto(`${url}/#/sale/rush`)
  await signIn(page, 'ida')
  await fare(page, 0).getByRole('button', { name: 'Buy' }).click()
  const order = page.locator('#order-list > li')
  await order.getByText('1 × Seat').waitFor()
  const body = JSON.stringify({ code: 'not_found', title: 'No such path', status: 404 })
  await page.route('**/api/orders/*/payment', (route) =>
    route.fulfill({ status: 404, contentType: 'application/problem+json', body }),
  )
  await order.getByRole('button', { name: 'Pay' }).click()
  await order.getByRole('button', { name: 'Pay' }).waitFor({ state: 'hidden' })
})
