/** The sandbox's page: what is bought, what it costs, two buttons. Plain HTML that needs no script and fits a telephone. */
import type { SandboxPayment } from './sandbox-books.ts'

/** Nothing is loaded from anywhere, and the form goes nowhere else. */
export const PAGE_HEADERS = [
  'Content-Security-Policy',
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
  'X-Content-Type-Options',
  'nosniff',
]
export const PAGE_TYPE = 'text/html; charset=utf-8'

const STYLE = `
  body { font: 1.05rem/1.5 system-ui, sans-serif; margin: 0; background: #f2f2f5; color: #1c1c20 }
  main { max-width: 26rem; margin: 0 auto; padding: 1.5rem }
  .card { background: #fff; border-radius: .75rem; padding: 1.25rem; box-shadow: 0 1px 4px #0002 }
  .note { color: #5b5b66; font-size: .9rem }
  h1 { font-size: 1.25rem; margin: 0 0 .25rem }
  .sum { font-size: 2rem; font-weight: 600; margin: .75rem 0 }
  button { display: block; width: 100%; min-height: 3rem; margin-top: .75rem; font: inherit; font-weight: 600;
    border-radius: .5rem; border: 1px solid #1c1c20; background: #fff; color: #1c1c20 }
  button.pay { background: #0b6b3a; border-color: #0b6b3a; color: #fff }
  @media (prefers-color-scheme: dark) {
    body { background: #17171a; color: #ececf1 } .card { background: #232327 } .note { color: #a5a5b0 }
    button { background: #232327; color: #ececf1; border-color: #77778a } }
`

export function renderPage({ request, state }: SandboxPayment): string {
  const { saleName, fareName, quantity, amount, currency, orderId } = request
  const told = {
    open: '',
    declined: 'The payment was declined. You can try again.',
    paid: 'Paid. Your order hears of it.',
  }
  return page(
    `Pay ${formatMoney(amount, currency)}`,
    `<h1>${escapeHtml(saleName)}</h1>
    <div>${quantity} × ${escapeHtml(fareName)}</div>
    <div class="sum">${escapeHtml(formatMoney(amount, currency))}</div>
    ${told[state] === '' ? '' : `<p role="status">${told[state]}</p>`}
    ${state === 'paid' ? '<p><a href="/">Back</a></p>' : FORM}
    <p class="note">Order ${escapeHtml(orderId)}. This is a sandbox: no money moves.</p>`,
  )
}

export function renderUnknownPage(): string {
  return page('No such payment', '<h1>No such payment</h1><p class="note">The address may be cut off.</p>')
}

const FORM = `<form method="post">
      <button class="pay" name="outcome" value="pay">Pay</button>
      <button name="outcome" value="decline">Decline</button>
    </form>`

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${escapeHtml(title)}</title>
  <style>${STYLE}</style>
</head>
<body><main><div class="card">
    ${body}
</div></main></body>
</html>
`
}

/** Whole minor units as people write them, with the currency's own number of digits. */
function formatMoney(amount: number, currency: string): string {
  try {
    const format = new Intl.NumberFormat('en', { style: 'currency', currency })
    const digits = format.resolvedOptions().maximumFractionDigits ?? 2
    return format.format(amount / 10 ** digits)
  } catch {
    return `${amount} ${currency}`
  }
}

function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replaceAll(/[&<>"']/g, (character) => names[character] ?? character)
}
