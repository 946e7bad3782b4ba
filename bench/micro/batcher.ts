import { PendingBuy } from '../../node/pending-buy.ts'
import { SaleDesk } from '../../node/sale-desk.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createLogger } from '../../runtime/logger.ts'
import type { SaleDefinition } from '../../stock/core/words.ts'
import { createMemoryStock } from '../../stock/memory/memory-stock.ts'
import type { StockPort } from '../../stock/port.ts'
import { FARE, SALE } from '../ratios/requests.ts'
import { RULES } from '../ratios/site.ts'
import type { Question, Task } from './question.ts'

const STOCK = 1_000_000_000
const DEFINITION: SaleDefinition = {
  id: SALE,
  name: 'Bench',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: 1,
  holdMs: 300_000,
  fares: [{ id: FARE, name: 'A', price: { amount: 100, currency: 'EUR' }, stock: STOCK }],
  orderIdSecret: '5a'.repeat(32),
}

export const batcher: Question = {
  name: 'batcher',
  asks: 'What does a wish cost on its way over the desk and back, apart from the store?',
  async prepare() {
    const desk = await openDesk()
    return {
      tasks: [buyTogether(desk, 1), buyTogether(desk, 16), buyTogether(desk, 128)],
      end: async () => desk.stop(),
    }
  },
}

/** So many wishes of one turn of the event loop, until all are answered. */
function buyTogether(desk: SaleDesk, count: number): Task {
  const { orderIds } = desk
  const wish = { buyer: 'b', fareId: FARE, quantity: 1, mayRepeat: false, saleId: SALE, key: 'k'.repeat(20), orderIds }
  return {
    name: `${count} at once`,
    timesPerCall: count,
    run: () =>
      new Promise((resolve) => {
        let open = count
        const answered = (): void => {
          open -= 1
          if (open === 0) resolve()
        }
        for (let n = 0; n < count; n += 1) desk.buy(new PendingBuy(wish, systemClock.monotonicMs(), answered))
      }),
  }
}

/** A desk over a store that says yes at once and keeps nothing. */
async function openDesk(): Promise<SaleDesk> {
  const stock = createMemoryStock({ nowMs: () => systemClock.nowMs(), fingerprint: () => 'bench' })
  const { version } = await stock.sales.create(DEFINITION, 1)
  await stock.sales.change(SALE, 'open', version)
  let seq = 10
  const confirm: StockPort['sales']['confirm'] = async (_sale, _caller, items) => {
    seq += 1
    return {
      outcome: 'judged',
      version: { era: 1, seq },
      nowMs: systemClock.nowMs(),
      state: 'open',
      verdicts: items.map(() => ({ status: 'held' })),
      fares: [{ fareId: FARE, stock: STOCK, remaining: STOCK, held: 0, paid: 0, allowance: STOCK, changedSeq: seq }],
      unheard: [],
    }
  }
  const settings = {
    nodeId: 'n1',
    rules: RULES,
    batchMaxItems: 128,
    batchMaxInFlight: 2,
    lineMaxItems: 10_000,
    buyDeadlineMs: 3000,
    checkDurability: () => Promise.resolve(true),
  }
  const metrics = { storeErrors: { value: 0 }, batchSent: () => {}, batchAnswered: () => {} }
  const port = { ...stock, sales: { ...stock.sales, confirm } }
  const desk = new SaleDesk(DEFINITION, 1, port, settings, systemClock, createLogger({ level: 'silent' }), metrics)
  desk.start()
  while (desk.state !== 'selling') await new Promise((resolve) => setImmediate(resolve))
  return desk
}
