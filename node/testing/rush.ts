/**
 * A small rush: some desks over one faulty store, many buyers who repeat with the same key until they are told
 * something final, and the buyers' own record of what they were told. Runs under vitest's fake timers.
 */
import { createLogger } from '../../runtime/logger.ts'
import { type Random, seededRandom } from '../../runtime/random.ts'
import { conservationFault, type SaleRecord, versionOf } from '../../stock/core/sale-record.ts'
import type { QuotaRules, SaleDefinition } from '../../stock/core/words.ts'
import { createMemoryStock, type MemoryStock } from '../../stock/memory/memory-stock.ts'
import type { Order } from '../../stock/core/words.ts'
import { type BuyAnswer, PendingBuy } from '../pending-buy.ts'
import { FRESH_MS } from '../../stock/core/heard.ts'
import { SaleDesk, type DeskSettings } from '../sale-desk.ts'
import { faultyPort, TROUBLES, type Weather } from './faulty-store.ts'

export const SALE = 'rush'
export const FARE = 'second'
export const LIMIT = 2
const RULES: QuotaRules = { buffer: { percent: 10 }, deadAfterMs: 1500 }
const HEARTBEAT_MS = 250
const TICK_MS = 20
const BUY_DEADLINE_MS = 1000
/** The desk keeps a margin back, of which looking now and then takes a part. */
const ANSWER_WITHIN_MS = BUY_DEADLINE_MS
const TROUBLE_CODES = new Set(['busy', 'recovering', 'outcome_unknown'])

export interface Told {
  readonly orderId: string
  readonly buyer: string
  readonly quantity: number
  readonly answer: BuyAnswer
}

export interface Rush {
  readonly stock: MemoryStock
  readonly desks: readonly SaleDesk[]
  readonly weather: Weather
  readonly random: Random
  readonly told: readonly Told[]
  /** What went wrong while it happened, in words; empty when all is well. */
  readonly faults: string[]
  readonly rules: QuotaRules
  /** One call; resolves with its one answer. */
  buy(desk: SaleDesk, wish: { buyer: string; key: string; quantity?: number; mayRepeat?: boolean }): Promise<BuyAnswer>
  /** Repeats on whichever desk, with the same key, until the answer is not trouble. */
  insist(wish: { buyer: string; key: string; quantity: number }): Promise<BuyAnswer>
  /** Another node joins the sale. */
  addDesk(): SaleDesk
  /** Forgets every event there is. */
  trim(): Promise<unknown>
  restartStore(): void
  /** As a coordinator does after a restart. */
  certify(): Promise<void>
  stop(): void
}

export interface RushOptions {
  readonly seed: number
  readonly tickets: number
  readonly desks: number
  readonly troubleShare?: number
  readonly settings?: Partial<DeskSettings>
}

/** Vitest's fake time. */
const nowMs = (): number => Date.now()

export async function startRush(options: RushOptions): Promise<Rush> {
  const random = seededRandom(options.seed)
  let life = 1
  const stock = createMemoryStock({ nowMs, fingerprint: () => `life-${life}` })
  const definition: SaleDefinition = {
    id: SALE,
    name: 'Rush',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: LIMIT,
    holdMs: 300_000,
    fares: [{ id: FARE, name: 'Second', stock: options.tickets, price: { amount: 1, currency: 'CNY' } }],
    orderIdSecret: '00',
  }
  await stock.sales.create(definition, 1)
  await stock.sales.change(SALE, 'open', { era: 1, seq: 0 })
  const weather: Weather = {
    troubleShare: options.troubleShare ?? 0,
    troubles: TROUBLES,
    latencyMs: 8,
    stalledUntilMs: 0,
  }
  const faults: string[] = []
  let lastZeroMs = Number.NEGATIVE_INFINITY
  const fareNow = () => stock.saleRecords.get(SALE)?.fares.get(FARE)
  const look = (): void => {
    const fare = fareNow()
    if (fare === undefined) return
    if (fare.remaining === 0) lastZeroMs = nowMs()
    const fault = conservationFault(FARE, fare)
    if (fault !== null) faults.push(fault)
  }
  const port = faultyPort(stock, weather, random, nowMs, look)

  const logger = createLogger({ level: 'silent' })
  const clock = { nowMs, monotonicMs: nowMs }
  const desks: SaleDesk[] = []
  const timers: NodeJS.Timeout[] = []
  const addDesk = (): SaleDesk => {
    const settings: DeskSettings = {
      nodeId: `n${desks.length + 1}`,
      rules: RULES,
      batchMaxItems: 5,
      batchMaxInFlight: 2,
      lineMaxItems: 1000,
      buyDeadlineMs: BUY_DEADLINE_MS,
      checkDurability: () => Promise.resolve(true),
      ...options.settings,
    }
    const metrics = { storeErrors: { value: 0 }, batchSent: () => {}, batchAnswered: () => {} }
    const desk = new SaleDesk(definition, 1, port, settings, clock, logger, metrics)
    desks.push(desk)
    desk.start()
    timers.push(
      setInterval(() => void desk.heartbeat(), HEARTBEAT_MS),
      setInterval(() => desk.tick(), TICK_MS),
    )
    return desk
  }
  while (desks.length < options.desks) addDesk()

  const told: Told[] = []
  const buy: Rush['buy'] = (desk, { buyer, key, quantity = 1, mayRepeat = true }) =>
    new Promise((resolve) => {
      let answers = 0
      const sentMs = nowMs()
      const orderId = `${buyer}/${key}`
      const asked = { buyer, fareId: FARE, quantity, mayRepeat, saleId: definition.id, key, orderIds: () => orderId }
      const pending = new PendingBuy(asked, sentMs, (answer) => {
        answers += 1
        if (answers > 1) faults.push(`${orderId} was answered ${answers} times`)
        if (nowMs() - sentMs > ANSWER_WITHIN_MS) faults.push(`${orderId} was answered after ${nowMs() - sentMs} ms`)
        look()
        const code = codeOf(answer)
        if ((code === 'all_held' || code === 'sold_out') && lastZeroMs < sentMs - FRESH_MS) {
          faults.push(`${orderId} heard ${code} at ${nowMs()}; the counter was last at zero at ${lastZeroMs}`)
        }
        told.push({ orderId, buyer, quantity, answer })
        resolve(answer)
      })
      // As the buy route does: first whether memory allows a "no", then the desk.
      const refusal = desk.refusal(asked, sentMs)
      if (refusal === null) desk.buy(pending)
      else pending.answer({ by: 'memory', refusal })
    })

  return {
    stock,
    desks,
    weather,
    random,
    told,
    faults,
    rules: RULES,
    addDesk,
    trim: () => stock.sales.trimEvents(SALE, versionOf(recordOf(stock))),
    buy,
    async insist(wish) {
      for (;;) {
        const desk = desks[random.below(desks.length)]
        if (desk === undefined) throw new Error('no desks')
        const answer = await buy(desk, wish)
        if (!TROUBLE_CODES.has(codeOf(answer))) return answer
        await new Promise((resolve) => {
          setTimeout(resolve, 10 + random.below(50))
        })
      }
    },
    restartStore() {
      life += 1
    },
    async certify() {
      const record = stock.saleRecords.get(SALE)
      if (record !== undefined) await stock.sales.certify(SALE, record, record.era + 1, record.seq)
    },
    stop() {
      for (const timer of timers) clearInterval(timer)
      for (const desk of desks) desk.stop()
    },
  }
}

/** One word for what a buyer was told, as the buy route says it. */
export function codeOf(answer: BuyAnswer): string {
  switch (answer.by) {
    case 'store':
      return answer.verdict.status === 'too_late' ? 'outcome_unknown' : answer.verdict.status
    case 'memory':
      return answer.refusal
    case 'trouble':
      return answer.code
  }
}

export function recordOf(stock: MemoryStock): SaleRecord {
  const record = stock.saleRecords.get(SALE)
  if (record === undefined) throw new Error('no sale')
  return record
}

export function ordersOf(stock: MemoryStock): readonly Order[] {
  return [...(stock.saleRecords.get(SALE)?.orders.values() ?? [])]
}

/**
 * What must hold of any history once everybody is served: judged from the buyers' own records against the order
 * records, never from the counters.
 */
export function historyFaults(
  { stock, told, desks }: Pick<Rush, 'stock' | 'told' | 'desks'>,
  tickets: number,
): string[] {
  const faults: string[] = []
  const orders = new Map(ordersOf(stock).map((order) => [order.id, order]))
  const acknowledged = new Set<string>()
  const uncertain = new Set<string>()
  for (const { orderId, quantity, answer } of told) {
    const code = codeOf(answer)
    if (code === 'outcome_unknown') uncertain.add(orderId)
    if (code !== 'held' && code !== 'replayed') continue
    acknowledged.add(orderId)
    if (orders.get(orderId)?.quantity !== quantity) faults.push(`acknowledged order ${orderId} is lost`)
  }
  for (const id of orders.keys()) {
    if (!acknowledged.has(id) && !uncertain.has(id)) faults.push(`nobody was told of order ${id}`)
  }
  const held = told.filter(({ answer }) => codeOf(answer) === 'held').map(({ orderId }) => orderId)
  if (new Set(held).size !== held.length) faults.push('one key was answered `held` twice')
  let sold = 0
  const perBuyer = new Map<string, number>()
  for (const { buyer, quantity, state } of orders.values()) {
    if (state === 'released') continue
    sold += quantity
    perBuyer.set(buyer, (perBuyer.get(buyer) ?? 0) + quantity)
  }
  if (sold > tickets) faults.push(`${sold} of ${tickets} tickets sold`)
  for (const [buyer, count] of perBuyer) if (count > LIMIT) faults.push(`${buyer} has ${count} tickets`)
  for (const desk of desks) {
    const inFlight = desk.quota.fare(FARE)?.inFlight
    if (inFlight !== 0) faults.push(`${String(inFlight)} deductions are in flight with nobody to answer`)
    if (!desk.isIdle || desk.quota.asking !== 0) faults.push('wishes are left over')
  }
  return faults
}
