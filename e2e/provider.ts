/** The sandbox provider's side of the line: events signed with its secret, told to the webhook through nginx. */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../runtime/clock.ts'
import { jsonOf, request, type Reply } from './client.ts'
import type { Cluster } from './cluster.ts'
import { forEach, type Buyer } from './rush.ts'
import { pause } from './wait.ts'

export interface Payable {
  readonly orderId: string
  readonly buyer: Buyer
}

/** One telling of a payment, as the provider wrote it down. */
export interface Told {
  readonly orderId: string
  readonly invokedMs: number
  readonly completedMs: number
  readonly status: number
  readonly code: string | null
}

const REPEAT_MS = 100

export class Provider {
  /** In the order in which they were answered. */
  readonly told: Told[] = []
  readonly #cluster: Cluster
  readonly #secret: string
  /** An event says the same however often it is told. */
  readonly #paidAtMs = new Map<string, number>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#secret = readFileSync(join(cluster.dir, 'payment-sandbox.secret'), 'utf8')
  }

  startPayment({ orderId, buyer }: Payable): Promise<Reply> {
    const headers = { Authorization: `Bearer ${buyer.token}` }
    return request(`${this.#cluster.view.url}/api/orders/${orderId}/payment`, { method: 'POST', headers })
  }

  /** Says once that the order was paid; the same event every time. */
  async tellPaid(orderId: string): Promise<Told> {
    const nowMs = systemClock.nowMs()
    const occurredAtMs = this.#paidAtMs.get(orderId) ?? nowMs
    this.#paidAtMs.set(orderId, occurredAtMs)
    const event = { id: `evt-${orderId}`, type: 'paid', reference: orderId, chargeId: `ch-${orderId}` }
    const body = JSON.stringify({ ...event, amount: 1200, currency: 'EUR', occurredAtMs })
    const seconds = Math.floor(nowMs / 1000)
    const mac = createHmac('sha256', this.#secret).update(`${seconds}.${body}`).digest('hex')
    const headers = { 'Content-Type': 'application/json', 'Farebox-Signature': `t=${seconds},v1=${mac}` }
    const invokedMs = performance.now()
    const reply = await request(`${this.#cluster.view.url}/api/payments/webhook/sandbox`, {
      method: 'POST',
      headers,
      body,
    })
    const code = jsonOf(reply)['code']
    const told: Told = {
      orderId,
      invokedMs,
      completedMs: performance.now(),
      status: reply.status,
      code: typeof code === 'string' ? code : null,
    }
    this.told.push(told)
    return told
  }

  /** Tells each until it is believed, as providers do; a few at a time. */
  async tellAll(orderIds: readonly string[], concurrency = 8): Promise<void> {
    await forEach(
      orderIds,
      async (orderId) => {
        while ((await this.tellPaid(orderId)).status !== 200) await pause(REPEAT_MS)
      },
      concurrency,
    )
  }

  /** Orders whose payment was acknowledged. */
  get acknowledged(): ReadonlySet<string> {
    return new Set(this.told.filter(({ status }) => status === 200).map(({ orderId }) => orderId))
  }
}
