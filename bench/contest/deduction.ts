/**
 * The three moments at which a shop may take a ticket out of its stock, played through on one store in steps: when the
 * order is placed, when it is paid, or in advance for a while. One in four never pays; those who were refused come
 * again when holds have lapsed.
 */
import type { DefectCount, DefectRun } from '../report/document.ts'

const STOCK = 400
const BUYERS = 3 * STOCK
const WALKS_AWAY_EVERY = 4

interface Shop {
  /** False: no. */
  order(): boolean
  /** False: no ticket for the money. */
  pay(): boolean
  /** The time of a hold passes. */
  lapse(unpaid: number): void
}

const WAYS: readonly { name: string; about: string; knownDefect: string | null; open: () => Shop }[] = [
  {
    name: 'deducted with the order',
    about: 'The order takes the ticket for good.',
    knownDefect: 'whoever never pays keeps a ticket from all others',
    open: () => shop({ takesAt: 'order', lapses: false }),
  },
  {
    name: 'deducted with the payment',
    about: 'Everybody may order; who pays first gets the ticket.',
    knownDefect: 'promises more than there is: buyers pay, and hear that nothing is left',
    open: () => shop({ takesAt: 'payment', lapses: false }),
  },
  {
    name: 'held in advance (as Farebox does)',
    about: 'The order holds the ticket for a time; it comes back unless it is paid.',
    knownDefect: null,
    open: () => shop({ takesAt: 'order', lapses: true }),
  },
]

function shop({ takesAt, lapses }: { takesAt: 'order' | 'payment'; lapses: boolean }): Shop {
  let left = STOCK
  const take = (): boolean => {
    if (left < 1) return false
    left -= 1
    return true
  }
  return {
    order: () => takesAt === 'payment' || take(),
    pay: () => takesAt === 'order' || take(),
    lapse(unpaid) {
      if (lapses) left += unpaid
    },
  }
}

export function runDeductions(): DefectRun {
  const startedAtMs = Date.now()
  return {
    kind: 'defects',
    step: 'defects',
    id: 'deductions',
    title: 'When the ticket is taken out of the stock',
    about:
      'Not a race but a rule, played through in steps: "buyers with a ticket" have paid and got one; "oversold" were promised one with their order and could not pay for it; "stranded" is held by somebody who never pays.',
    startedAtMs,
    endedAtMs: Date.now(),
    settings: { stock: STOCK, buyers: BUYERS, walksAwayEvery: WALKS_AWAY_EVERY },
    error: null,
    contenders: WAYS.map(({ name, about, knownDefect }) => ({ name, about, knownDefect })),
    counts: WAYS.map(({ name, open }) => play(name, open())),
  }
}

function play(contender: string, sale: Shop): DefectCount {
  let waiting = Array.from({ length: BUYERS }, (_, n) => n)
  let [told, broken] = [0, 0]
  // Until a hold's time brings nothing new.
  for (let before = -1; before !== waiting.length;) {
    before = waiting.length
    const holders = waiting.filter(() => sale.order())
    waiting = waiting.filter((buyer) => !holders.includes(buyer))
    const payers = holders.filter((buyer) => buyer % WALKS_AWAY_EVERY !== 0)
    const served = payers.filter(() => sale.pay()).length
    told += served
    broken += payers.length - served
    sale.lapse(holders.length - payers.length)
  }
  const stranded = Math.max(0, STOCK - told)
  return { contender, stock: STOCK, told, oversold: broken, stranded, notSoldAgain: 0, failed: broken, unanswered: 0 }
}
