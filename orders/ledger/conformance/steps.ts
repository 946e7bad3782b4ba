/**
 * Generated sequences of operations on a ledger, and what a user of it observes: the outcome of each operation, and in
 * the end all that can be read. Two ledgers conform when these are equal.
 */
import fc from 'fast-check'
import {
  type Order,
  RELEASE_REASONS,
  SALE_STATES,
  type SaleDefinition,
  type Version,
} from '../../../stock/core/words.ts'
import type { Acts, Subject, Transfer } from '../act-ledger.ts'
import type { Decision, EnsureResult, Fate, Ledger, LedgerOrder, Told } from '../ledger.ts'
import { isRefused } from '../sql-error.ts'
import type { World } from './worlds.ts'

const START_MS = 1_800_000_000_000
const HOLD_MS = 1000
const FARES = ['first', 'second', 'unknown']
/** Few, so that operations meet. */
const ORDERS = 8
const BUYERS = ['ann', 'bob', 'eve!', 'zero\0']

type OrderChoice = { readonly order: number; readonly changes: Partial<Order> }

/** Where the store was: an era beside the ledger's, and a seq. */
interface ToldChoice {
  readonly eraOff: number
  readonly seq: number
}

/** Of an act: beside the last turn that began, how far. */
interface InTurn {
  readonly turnOff: number
}

export type Step =
  | {
      readonly kind: 'take' | 'ensure'
      readonly orders: readonly OrderChoice[]
      readonly eraOff: number
      readonly seqOff: number
      readonly seqs: number
    }
  | { readonly kind: 'decide'; readonly decisions: readonly Choice[]; readonly storeOffMs: number | null }
  | { readonly kind: 'expire' | 'releaseDeadLetters'; readonly storeOffMs: number; readonly limit: number }
  | { readonly kind: 'settle'; readonly decisions: readonly Choice[]; readonly told: ToldChoice | null }
  | { readonly kind: 'settleAll'; readonly limit: number }
  | { readonly kind: 'setStock'; readonly fareId: string; readonly stock: number }
  | { readonly kind: 'setState'; readonly state: (typeof SALE_STATES)[number] }
  | { readonly kind: 'beginEra'; readonly eraOff: number; readonly atLeast: number }
  | { readonly kind: 'raiseWatermark'; readonly version: Version; readonly durable: boolean }
  | { readonly kind: 'retryDeadLetters'; readonly eraOff: number }
  | { readonly kind: 'poison'; readonly on: boolean }
  | { readonly kind: 'beginTurn'; readonly above: number }
  | (InTurn & { readonly kind: 'beginState' | 'followState'; readonly state: (typeof SALE_STATES)[number] })
  | (InTurn & { readonly kind: 'beginStock' | 'followStock'; readonly fareId: string; readonly stock: number })
  | (InTurn & { readonly kind: 'told'; readonly subject: Subject })
  | (InTurn & {
      readonly kind: 'beginTransfer' | 'carryTransfer' | 'dropTransfer'
      readonly fromFare: string
      /** To the other fare of the same sale, or to the same fare of another. */
      readonly isWithin: boolean
      readonly tickets: number
      readonly fromStock: number
    })
  | { readonly kind: 'wait'; readonly ms: number }

type ActStep = Extract<
  Step,
  {
    kind:
      | 'beginState'
      | 'followState'
      | 'beginStock'
      | 'followStock'
      | 'told'
      | 'beginTransfer'
      | 'carryTransfer'
      | 'dropTransfer'
  }
>
type TransferStep = Extract<ActStep, { kind: 'beginTransfer' | 'carryTransfer' | 'dropTransfer' }>

interface Choice {
  readonly order: number
  readonly fate: Fate
}

const fate = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Fate>({ state: 'paid' }) },
  { weight: 3, arbitrary: fc.constantFrom(...RELEASE_REASONS).map((reason): Fate => ({ state: 'released', reason })) },
)
const choices = fc.array(fc.record({ order: fc.nat(ORDERS), fate }), { minLength: 1, maxLength: 5 })
const storeOffMs = fc.constantFrom(-HOLD_MS, -1, 0, 1, HOLD_MS)
const mostlyZero = fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) })

const told = fc.option(fc.record({ eraOff: mostlyZero, seq: fc.nat(9) }), { nil: null })

/** How a record differs from a plain held order: its fate in the store, or something that no row can hold. */
const changes = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Partial<Order>>({}) },
  { weight: 2, arbitrary: fc.constant<Partial<Order>>({ state: 'paid', paidAtMs: START_MS + 5 }) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...RELEASE_REASONS)
      .map((reason): Partial<Order> => ({ state: 'released', reason, releasedAtMs: START_MS + 7 })),
  },
  { weight: 1, arbitrary: fc.constantFrom(0, 9, 1.5, Number.NaN).map((quantity): Partial<Order> => ({ quantity })) },
  { weight: 1, arbitrary: fc.constant<Partial<Order>>({ state: 'paid' }) },
)

const intake = fc.record({
  kind: fc.constantFrom('take' as const, 'take' as const, 'ensure' as const),
  orders: fc.array(fc.record({ order: fc.nat(ORDERS), changes }), { maxLength: 6 }),
  eraOff: mostlyZero,
  seqOff: mostlyZero,
  seqs: fc.integer({ min: 0, max: 3 }),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: intake },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('decide' as const),
      decisions: choices,
      storeOffMs: fc.option(storeOffMs, { nil: null }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('expire' as const, 'releaseDeadLetters' as const),
      storeOffMs,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('settle' as const), decisions: choices, told }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('settleAll' as const), limit: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('setStock' as const),
      fareId: fc.constantFrom(...FARES),
      stock: fc.nat(9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('setState' as const), state: fc.constantFrom(...SALE_STATES) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('beginEra' as const), eraOff: mostlyZero, atLeast: fc.nat(4) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('raiseWatermark' as const),
      version: fc.record({ era: fc.nat(2), seq: fc.nat(3) }),
      durable: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('retryDeadLetters' as const), eraOff: mostlyZero }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('poison' as const), on: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('beginTurn' as const), above: fc.constantFrom(0, 0, 5) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('beginState' as const, 'followState' as const),
      turnOff: mostlyZero,
      state: fc.constantFrom(...SALE_STATES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('beginStock' as const, 'followStock' as const),
      turnOff: mostlyZero,
      fareId: fc.constantFrom(...FARES),
      stock: fc.nat(9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('told' as const),
      turnOff: mostlyZero,
      subject: fc.constantFrom<Subject>('state', ...FARES.map((stockOf): Subject => ({ stockOf }))),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('beginTransfer' as const, 'carryTransfer' as const, 'dropTransfer' as const),
      turnOff: mostlyZero,
      fromFare: fc.constantFrom('first', 'second'),
      isWithin: fc.boolean(),
      tickets: fc.integer({ min: 1, max: 4 }),
      fromStock: fc.nat(5),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, HOLD_MS - 1, HOLD_MS, 5000) }),
  },
)

export const sequence: fc.Arbitrary<readonly Step[]> = fc.array(step, { minLength: 5, maxLength: 40 })

function definitionOf(saleId: string): SaleDefinition {
  return {
    id: saleId,
    name: 'Night train',
    opensAtMs: null,
    closesAtMs: START_MS + 1_000_000,
    limitPerBuyer: 3,
    holdMs: HOLD_MS,
    fares: [fareOf('second', 7), fareOf('first', 3)],
    orderIdSecret: '5e',
  }
}

function fareOf(id: string, stock: number): SaleDefinition['fares'][number] {
  return { id, name: id, price: { amount: stock * 100, currency: 'CNY' }, stock }
}

/** Runs a sequence on a sale of its own; what it returns holds nothing that names the sale. */
export async function runSequence(world: World, saleId: string, steps: readonly Step[]): Promise<unknown[]> {
  const { ledger } = world
  const run = new Run(world, saleId)
  await world.setClock(START_MS)
  await world.setPoison(false)
  const seen: unknown[] = [await ledger.createSale(definitionOf(saleId)), await ledger.createSale(definitionOf(saleId))]
  await ledger.createSale(definitionOf(otherSale(saleId)))
  for (const one of steps) seen.push(await run.step(one), await ledger.sale(saleId))
  seen.push(await everything(ledger, saleId), await run.leftToDo())
  return JSON.parse(JSON.stringify(seen).replaceAll(saleId, 'SALE')) as unknown[]
}

class Run {
  readonly #world: World
  readonly #saleId: string
  #nowMs = START_MS
  /** Of the last act that began. */
  #turn = 0

  constructor(world: World, saleId: string) {
    this.#world = world
    this.#saleId = saleId
  }

  async step(step: Step): Promise<unknown> {
    const { ledger } = this.#world
    const sale = this.#saleId
    switch (step.kind) {
      case 'take':
      case 'ensure':
        return this.#intake(step)
      case 'decide':
        return ledger.decide(
          this.#decisions(step.decisions),
          step.storeOffMs === null ? null : this.#at(step.storeOffMs),
        )
      case 'expire':
        return ledger.expire(sale, this.#at(step.storeOffMs), step.limit)
      case 'releaseDeadLetters':
        return ledger.releaseDeadLetters(sale, this.#at(step.storeOffMs), step.limit)
      case 'settle':
        return ledger.markSettled(this.#decisions(step.decisions), await this.#told(step.told))
      case 'settleAll':
        return this.#settleAll(step.limit)
      case 'setStock':
        return ledger.setStock(sale, step.fareId, step.stock)
      case 'setState':
        return ledger.setState(sale, step.state)
      case 'beginEra':
        return ledger.beginEra(sale, (await this.#era()) + step.eraOff, step.atLeast)
      case 'raiseWatermark':
        return ledger.raiseWatermark(sale, { version: step.version, durable: step.durable, fingerprint: 'f' })
      case 'retryDeadLetters':
        return ledger.retryDeadLetters(sale, (await this.#era()) + step.eraOff)
      case 'poison':
        return this.#world.setPoison(step.on)
      case 'beginTurn':
        return this.#beginTurn(step.above)
      case 'beginState':
      case 'followState':
      case 'beginStock':
      case 'followStock':
      case 'told':
      case 'beginTransfer':
      case 'carryTransfer':
      case 'dropTransfer':
        return [await this.#act(step), await untoldOf(this.#world.acts, this.#saleId)]
      case 'wait':
        this.#nowMs += step.ms
        return this.#world.setClock(this.#nowMs)
    }
  }

  async #intake(step: Extract<Step, { kind: 'take' | 'ensure' }>): Promise<unknown> {
    const { ledger } = this.#world
    const storeEra = (await this.#era()) + step.eraOff
    const orders = step.orders.map((choice) => this.#record(choice))
    if (step.kind === 'ensure') return inOrder(await ledger.ensure(this.#saleId, storeEra, orders))
    const { era, seq } = (await ledger.sale(this.#saleId))?.taken ?? { era: 0, seq: 0 }
    const after = { era, seq: seq + step.seqOff }
    return ledger.take(this.#saleId, { storeEra, after, upTo: { era, seq: after.seq + step.seqs }, orders })
  }

  async #act(step: ActStep): Promise<unknown> {
    try {
      return await this.#actOnSale(step)
    } catch (error) {
      if (!isRefused(error)) throw error
      return 'refused'
    }
  }

  /** What is asked of the turn of a sale that the ledger does not have is asked as well. */
  async #beginTurn(above: number): Promise<unknown> {
    const { acts } = this.#world
    const turn = await acts.beginTurn(this.#saleId, above)
    this.#turn = turn?.number ?? 0
    const nobodys = { saleId: 'none', number: 1 }
    return [turn, await acts.beginTurn('none', above), await acts.followState(nobodys, 'open')]
  }

  #actOnSale(step: ActStep): Promise<boolean> {
    const { acts } = this.#world
    const turn = { saleId: this.#saleId, number: this.#turn + step.turnOff }
    switch (step.kind) {
      case 'beginState':
      case 'followState':
        return acts[step.kind](turn, step.state)
      case 'beginStock':
      case 'followStock':
        return acts[step.kind](turn, step.fareId, step.stock)
      case 'told':
        return acts.told(turn, step.subject)
      case 'beginTransfer':
        return acts.beginTransfer(turn, this.#transfer(step))
      case 'carryTransfer':
        return acts.carryTransfer(turn, step.fromFare, this.#transfer(step).toSale)
      case 'dropTransfer':
        return acts.dropTransfer(turn, step.fromFare)
    }
  }

  #transfer({ fromFare, isWithin, tickets, fromStock }: TransferStep): Omit<Transfer, 'fromSale'> {
    const toFare = isWithin === (fromFare === 'first') ? 'second' : 'first'
    const toSale = isWithin ? this.#saleId : otherSale(this.#saleId)
    return { fromFare, toSale, toFare, tickets, fromStock }
  }

  /** What the store is still to be told of both sales, what is under way, and what the other sale has. */
  async leftToDo(): Promise<unknown> {
    const { acts, ledger } = this.#world
    const [sale, other] = [this.#saleId, otherSale(this.#saleId)]
    return {
      untold: [await untoldOf(acts, sale), await untoldOf(acts, other)],
      transfers: (await acts.transfers()).filter(({ fromSale }) => fromSale === sale),
      other: await ledger.sale(other),
    }
  }

  async #settleAll(limit: number): Promise<unknown> {
    const { ledger } = this.#world
    const orders = await ledger.unsettled(this.#saleId, limit)
    const letters = await ledger.releaseDeadLetters(this.#saleId, 0, limit)
    await ledger.markSettled([
      ...orders.map(({ id, state, reason }): Decision => {
        const orderFate: Fate = state === 'released' && reason !== null ? { state, reason } : { state: 'paid' }
        return { orderId: id, fate: orderFate }
      }),
      ...letters.map((orderId): Decision => ({ orderId, fate: { state: 'released', reason: 'expired' } })),
    ])
    return [orders, letters]
  }

  async #told(choice: ToldChoice | null): Promise<Told | undefined> {
    if (choice === null) return undefined
    return { saleId: this.#saleId, version: { era: (await this.#era()) + choice.eraOff, seq: choice.seq } }
  }

  /** Everything of an order but its state follows from its number. */
  #record({ order, changes: changed }: OrderChoice): Order {
    return {
      id: orderId(this.#saleId, order),
      fareId: order === 6 ? 'unknown' : (FARES[order % 2] ?? 'second'),
      quantity: (order % 3) + 1,
      buyer: `${this.#saleId}${BUYERS[order === 7 ? 3 : order % 3] ?? ''}`,
      state: 'held',
      reason: null,
      createdAtMs: START_MS + (order % 3),
      createdSeq: 1,
      paidAtMs: null,
      paidSeq: null,
      releasedAtMs: null,
      releasedSeq: null,
      ...changed,
    }
  }

  #decisions(list: readonly Choice[]): Decision[] {
    return list.map((choice) => ({ orderId: orderId(this.#saleId, choice.order), fate: choice.fate }))
  }

  #at(offMs: number): number {
    return this.#nowMs + offMs
  }

  async #era(): Promise<number> {
    return (await this.#world.ledger.sale(this.#saleId))?.era ?? 0
  }
}

async function untoldOf(acts: Acts, saleId: string): Promise<unknown> {
  const { stateTurn, fareIds } = await acts.untold(saleId)
  return { stateTurn, fareIds: [...fareIds].toSorted() }
}

/** Where left-overs go. */
function otherSale(saleId: string): string {
  return `${saleId}to`
}

/** Rows come in no order. */
function inOrder(result: EnsureResult): EnsureResult {
  if (result.outcome !== 'ensured') return result
  return { ...result, orders: result.orders.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
}

function orderId(saleId: string, number: number): string {
  return `${saleId}${number}`
}

async function ordersOf(ledger: Ledger, orderIds: readonly string[]): Promise<readonly LedgerOrder[]> {
  return (await ledger.orders(orderIds)).toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** All that can be read of a sale. Why a row was refused is said in words that differ. */
async function everything(ledger: Ledger, saleId: string): Promise<unknown> {
  const buyers = await Promise.all(['ann', 'bob', 'eve!'].map(async (buyer) => pages(ledger, `${saleId}${buyer}`)))
  return {
    nowMs: await ledger.nowMs(),
    feed: await ledger.feed(saleId, 0, 1000),
    laterFeed: await ledger.feed(saleId, 5, 2),
    unsettled: await ledger.unsettled(saleId, 1000),
    unsettledFurther: await ledger.unsettled(saleId, 2, 1),
    letters: (await ledger.deadLetters(saleId)).map((letter) => ({ ...letter, error: '' })),
    scan: await ledger.scanOrders(saleId, null, 4),
    scanIds: await ledger.scanOrderIds(saleId, null, 4),
    laterScanIds: await ledger.scanOrderIds(saleId, orderId(saleId, 4), 4),
    laterScan: await ledger.scanOrders(saleId, orderId(saleId, 4), 4),
    sums: await ledger.sums(saleId),
    recount: await ledger.recount(saleId),
    order: await ledger.order(orderId(saleId, 1)),
    orders: await ordersOf(ledger, [orderId(saleId, 3), 'none', orderId(saleId, 1), orderId(saleId, 3), 'no\0ne']),
    badCursor: await ledger.ordersOfBuyer(`${saleId}ann`, 'none', 2),
    noSuchSale: await noSuchSale(ledger),
    buyers,
  }
}

async function pages(ledger: Ledger, buyer: string): Promise<unknown[]> {
  const found: unknown[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<Ledger['ordersOfBuyer']>> = await ledger.ordersOfBuyer(buyer, cursor, 1)
    found.push(page)
    cursor = page.nextCursor
  } while (cursor !== null)
  return found
}

async function noSuchSale(ledger: Ledger): Promise<unknown[]> {
  const version = { era: 1, seq: 1 }
  return [
    await ledger.sale('none'),
    await ledger.setState('none', 'open'),
    await ledger.setStock('none', 'second', 1),
    await ledger.beginEra('none', 1),
    await ledger.take('none', { storeEra: 1, after: version, upTo: version, orders: [] }),
    await ledger.ensure('none', 1, []),
    await ledger.expire('none', START_MS, 1),
    await ledger.retryDeadLetters('none', 1),
    await ledger.releaseDeadLetters('none', START_MS, 1),
    await ledger.unsettled('none', 1),
    await ledger.feed('none', 0, 1),
    await ledger.sums('none'),
    await ledger.recount('none'),
    await ledger.order('none'),
    await ledger.order('no\0ne'),
  ]
}
