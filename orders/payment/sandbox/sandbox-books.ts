/**
 * The sandbox's own books: payments, charges, and the events that it still has to tell. They lie in the ledger's
 * database, so that a process that starts again goes on telling; no table of ours refers to them.
 */
import type { Clock } from '../../../runtime/clock.ts'
import type { Random } from '../../../runtime/random.ts'
import type { Database, Transaction } from '../../ledger/database.ts'
import type { PaymentEventKind, PaymentRequest, RefundAnswer, RefundRequest } from '../provider.ts'
import { GOOD_BEHAVIOUR, type SandboxBehaviour, type SandboxPress } from './sandbox-behaviour.ts'
import type { SandboxEvent } from './sandbox-provider.ts'

export type SandboxState = 'open' | 'paid' | 'declined'

export interface SandboxPayment {
  readonly request: PaymentRequest
  readonly state: SandboxState
}

export interface Delivery {
  readonly id: number
  readonly reference: string
  readonly body: string
  readonly isForged: boolean
  /** This one included. */
  readonly tries: number
}

export type PressResult =
  | { readonly outcome: 'pressed'; readonly state: SandboxState; readonly eventIds: readonly string[] }
  /** `paid_already`: a second press does not pay twice. */
  | { readonly outcome: 'paid_already' | 'no_such_payment' }

interface Planned {
  readonly event: SandboxEvent
  readonly isForged: boolean
}

const TRIES_MAX = 15
const RETRY_FIRST_MS = 500
const RETRY_MAX_MS = 60_000

export class SandboxBooks {
  readonly #database: Database
  readonly #random: Random
  readonly #clock: Clock
  readonly #behaviour: SandboxBehaviour

  constructor(database: Database, random: Random, clock: Clock, behaviour: SandboxBehaviour = GOOD_BEHAVIOUR) {
    this.#database = database
    this.#random = random
    this.#clock = clock
    this.#behaviour = behaviour
  }

  async create(request: PaymentRequest): Promise<void> {
    await this.#database.query(
      `insert into sandbox_payments (reference, request, state, created_ms) values ($1, $2, 'open', $3)
       on conflict (reference) do nothing`,
      [request.reference, JSON.stringify(request), this.#clock.nowMs()],
    )
  }

  async payment(reference: string): Promise<SandboxPayment | null> {
    const [row] = await this.#database.query<{ request: string; state: SandboxState }>(
      'select request, state from sandbox_payments where reference = $1',
      [reference],
    )
    return row === undefined ? null : { request: JSON.parse(row.request) as PaymentRequest, state: row.state }
  }

  /** The buyer presses pay or decline. Its events are written down in the same transaction. */
  async press(reference: string, press: SandboxPress): Promise<PressResult> {
    const nowMs = this.#clock.nowMs()
    return this.#database.transaction(async (transaction) => {
      const [row] = await transaction.query<{ request: string; state: SandboxState }>(
        'select request, state from sandbox_payments where reference = $1 for update',
        [reference],
      )
      if (row === undefined) return { outcome: 'no_such_payment' }
      if (row.state === 'paid' && press.again !== true) return { outcome: 'paid_already' }
      const behaviour = { ...this.#behaviour, ...press }
      const isPaid = press.outcome !== 'decline' && !behaviour.failure
      const state = isPaid ? 'paid' : row.state === 'paid' ? 'paid' : 'declined'
      await transaction.query('update sandbox_payments set state = $2 where reference = $1', [reference, state])
      const request = JSON.parse(row.request) as PaymentRequest
      const planned = await this.#plan(transaction, request, behaviour, press, isPaid, nowMs)
      await this.#tell(transaction, planned, behaviour, nowMs)
      return { outcome: 'pressed', state, eventIds: planned.map(({ event }) => event.id) }
    })
  }

  /** Gives a charge back, once; its event follows. */
  async refund({ refundId, chargeId, amount, currency }: RefundRequest): Promise<RefundAnswer> {
    const nowMs = this.#clock.nowMs()
    return this.#database.transaction(async (transaction): Promise<RefundAnswer> => {
      const [charge] = await transaction.query<{
        reference: string
        amount: number
        currency: string
        refund_id: string | null
      }>('select reference, amount, currency, refund_id from sandbox_charges where id = $1 for update', [chargeId])
      if (charge === undefined) return { outcome: 'refused', why: `no charge ${chargeId}` }
      if (charge.amount !== amount || charge.currency !== currency) {
        return { outcome: 'refused', why: `charge ${chargeId} is ${charge.amount} ${charge.currency}` }
      }
      if (charge.refund_id === refundId) return { outcome: 'done' }
      if (charge.refund_id !== null) return { outcome: 'refused', why: `charge ${chargeId} was given back before` }
      await transaction.query('update sandbox_charges set refund_id = $2 where id = $1', [chargeId, refundId])
      const event = this.#event('refunded', charge.reference, chargeId, { amount, currency }, nowMs)
      await this.#tell(transaction, [{ event, isForged: false }], this.#behaviour, nowMs)
      return { outcome: 'accepted' }
    })
  }

  /** Claims events whose turn it is, in the order in which they are to be told. */
  async claim(limit: number): Promise<readonly Delivery[]> {
    const rows = await this.#database.query<{
      id: number
      reference: string
      body: string
      is_forged: boolean
      tries: number
    }>(
      `update sandbox_deliveries d set tries = d.tries + 1,
         next_try_ms = $1::bigint + least(${RETRY_MAX_MS}, ${RETRY_FIRST_MS} * (1 << least(d.tries, 20)))
       where d.id in (
         select id from sandbox_deliveries where state = 'due' and next_try_ms <= $1
         order by next_try_ms, id limit $2 for update skip locked
       )
       returning d.id, d.reference, d.body, d.is_forged, d.tries`,
      [this.#clock.nowMs(), limit],
    )
    return rows.map(({ is_forged: isForged, ...row }) => ({ ...row, isForged })).toSorted((a, b) => a.id - b.id)
  }

  /** `retry`: told again later, a bounded number of times. Returns what became of it. */
  async answered(
    { id, tries }: Delivery,
    verdict: 'done' | 'refused' | 'retry',
    answer: string,
  ): Promise<'done' | 'refused' | 'due' | 'dead'> {
    const state = verdict === 'retry' ? (tries >= TRIES_MAX ? 'dead' : 'due') : verdict
    await this.#database.query('update sandbox_deliveries set state = $2, last_answer = $3 where id = $1', [
      id,
      state,
      answer,
    ])
    return state
  }

  async #plan(
    transaction: Transaction,
    request: PaymentRequest,
    behaviour: SandboxBehaviour,
    { events }: SandboxPress,
    isPaid: boolean,
    nowMs: number,
  ): Promise<Planned[]> {
    const { reference, amount, currency } = request
    const chargeId = `ch_${this.#random.hex(12)}`
    if (isPaid) {
      await transaction.query('insert into sandbox_charges (id, reference, amount, currency) values ($1, $2, $3, $4)', [
        chargeId,
        reference,
        amount,
        currency,
      ])
    }
    const genuine = (kind: PaymentEventKind, charge: string, sum = amount): Planned => ({
      event: this.#event(kind, reference, charge, { amount: sum, currency }, nowMs),
      isForged: false,
    })
    const planned: Planned[] = []
    if (behaviour.forged) planned.push({ ...genuine('paid', `ch_${this.#random.hex(12)}`), isForged: true })
    if (behaviour.wrongAmount) planned.push(genuine('paid', `ch_${this.#random.hex(12)}`, amount + 1))
    if (events !== undefined) planned.push(...events.map((kind) => genuine(kind, chargeId)))
    else planned.push(genuine(isPaid ? 'paid' : 'failed', chargeId))
    if (behaviour.outOfOrder) planned.push(genuine('failed', `ch_${this.#random.hex(12)}`))
    return planned
  }

  #event(
    type: PaymentEventKind,
    reference: string,
    chargeId: string,
    { amount, currency }: { readonly amount: number; readonly currency: string },
    occurredAtMs: number,
  ): SandboxEvent {
    return { id: `evt_${this.#random.hex(12)}`, type, reference, chargeId, amount, currency, occurredAtMs }
  }

  async #tell(
    transaction: Transaction,
    planned: readonly Planned[],
    { delayMs, duplicates }: SandboxBehaviour,
    nowMs: number,
  ): Promise<void> {
    const all = Array.from({ length: duplicates + 1 }, () => planned).flat()
    if (all.length === 0) return
    await transaction.query(
      `insert into sandbox_deliveries (reference, body, is_forged, next_try_ms)
       select n.reference, n.body, n.is_forged, $4::bigint
       from unnest($1::text[], $2::text[], $3::boolean[]) with ordinality as n (reference, body, is_forged, place)
       order by n.place`,
      [
        all.map(({ event }) => event.reference),
        all.map(({ event }) => JSON.stringify(event)),
        all.map(({ isForged }) => isForged),
        nowMs + delayMs,
      ],
    )
  }
}
