/**
 * Practice before the doors open, so that the first buyer after an opening waits as long as the thousandth.
 *
 * A fresh process runs code that was never run: the first purchase would pay for compiling it, and Redis for loading
 * the script. So a node sells a practice sale first: over HTTP, to itself, on a port that nobody else knows, out of a
 * store in its own memory. Real metrics, the real fleet and the real store see none of it; all that the store is asked
 * is to confirm for a sale that it does not have, which loads the script and changes nothing.
 */
import http from 'node:http'
import { Identifier } from '../http/identity.ts'
import { HttpServer, type ServerOptions } from '../http/server.ts'
import { tokenSigner } from '../http/sign-token.ts'
import { systemClock } from '../runtime/clock.ts'
import { createLogger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import type { SaleDefinition } from '../stock/core/words.ts'
import { createMemoryStock } from '../stock/memory/memory-stock.ts'
import type { StockPort } from '../stock/port.ts'
import { NodeMetrics } from './node-metrics.ts'
import { buyRoute } from './routes/buy.ts'
import { SaleDesk, type DeskSettings } from './sale-desk.ts'

/** Practice ends after so many purchases, or so long: a start must not wait for it on a slow machine. */
const PURCHASES_MAX = 500
const PRACTICE_MS_MAX = 500
/** Buyers at a time, so that batches of more than one are practised as well. */
const BUYERS = 4
const CONFIRMS = 20
/** No sale can have this id: it begins with a hyphen. */
const NO_SALE = '-practice'
const SALE = 'practice'
const FARE = 'seat'

const DEFINITION: SaleDefinition = {
  id: SALE,
  name: 'Practice',
  opensAtMs: null,
  closesAtMs: null,
  limitPerBuyer: PURCHASES_MAX,
  holdMs: 60_000,
  fares: [{ id: FARE, name: 'Seat', price: { amount: 1, currency: 'EUR' }, stock: 2 * PURCHASES_MAX }],
  orderIdSecret: '00'.repeat(32),
}

export interface WarmUp {
  readonly port: StockPort
  readonly desk: DeskSettings
  readonly server: ServerOptions
}

/** Resolves with the number of practice purchases; never rejects: practice is not needed for selling. */
export async function warmUp(parts: WarmUp): Promise<number> {
  try {
    const [bought] = await Promise.all([practise(parts), loadScripts(parts)])
    return bought
  } catch (error) {
    parts.server.logger.debug({ err: error }, 'no practice')
    return 0
  }
}

async function loadScripts({ port, desk }: WarmUp): Promise<void> {
  const caller = { nodeId: desk.nodeId, epoch: 0, seen: { era: 0, seq: 0 }, lastWriteSeq: 0 }
  const deadlineMs = systemClock.nowMs()
  const item = { orderId: 'practice', buyer: 'practice', fareId: FARE, quantity: 1, deadlineMs }
  for (let count = 0; count < CONFIRMS; count += 1) await port.sales.confirm(NO_SALE, caller, [item], desk.rules)
}

async function practise({ desk: settings, server: options }: WarmUp): Promise<number> {
  const stock = createMemoryStock({ nowMs: () => systemClock.nowMs(), fingerprint: () => SALE })
  await stock.sales.create(DEFINITION, 1)
  await stock.sales.change(SALE, 'open', { era: 0, seq: 0 })
  const desks = new Map<string, SaleDesk>()
  const metrics = new NodeMetrics(new Metrics(), () => desks.values())
  // With nobody to wait for: an acknowledger would ask the real store's replicas.
  const { acknowledger: _, ...rest } = settings
  const alone = { ...rest, checkDurability: () => Promise.resolve(true) }
  const desk = new SaleDesk(DEFINITION, 1, stock, alone, systemClock, createLogger({ level: 'silent' }), metrics)
  desks.set(SALE, desk)
  const secret = systemRandom.hex(32)
  const identity = { mode: 'token' as const, secret, publicKeyPems: [], issuer: null, audience: null }
  const identifier = new Identifier(identity, systemClock, systemRandom)
  const { buyDeadlineMs } = settings
  const parts = { desks, knowsSales: () => true, identifier, clock: systemClock, random: systemRandom, metrics }
  const server = new HttpServer(options, [buyRoute({ ...parts, buyDeadlineMs })])
  const port = await server.listen('127.0.0.1', 0)
  desk.start()
  try {
    const token = tokenSigner(secret, { issuer: null, audience: null })
    const until = performance.now() + PRACTICE_MS_MAX
    const buyers = Array.from({ length: BUYERS }, (_, index) =>
      shop(port, token(`practice-${index}`, systemClock.nowMs() + 60_000), until),
    )
    await Promise.all(buyers)
    return metrics.outcomes.won
  } finally {
    desk.stop()
    await server.close(100)
  }
}

async function shop(port: number, token: string, until: number): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  for (let count = 0; count < PURCHASES_MAX / BUYERS && performance.now() < until; count += 1) {
    await buyOne(port, token, agent)
  }
  agent.destroy()
}

function buyOne(port: number, token: string, agent: http.Agent): Promise<void> {
  const body = '{"quantity":1}'
  return new Promise((resolve, reject) => {
    const path = `/api/sales/${SALE}/fares/${FARE}/orders`
    const headers = { authorization: `Bearer ${token}`, 'content-length': body.length }
    const request = http.request({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, (response) => {
      response.resume().on('end', resolve).on('error', reject)
    })
    request.on('error', reject).end(body)
  })
}
