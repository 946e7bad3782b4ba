/**
 * Practice, so that the first buyer after an opening waits as long as the thousandth.
 *
 * A process that has just started, or has long been idle, runs code that is not compiled or has left the processor's
 * caches, here and in Redis. So a node sells a practice sale: over HTTP, to itself, on a port that nobody else knows, out
 * of a sale in the real store that is its alone (`stock/core/practice.ts`), each purchase by another buyer with a token
 * that was never seen. It does so once before its ports open, again in the second before a sale opens, and, when one is
 * to be opened by hand, right before that.
 *
 * Nothing of it touches stock: the practice sale is in no list of sales, so that no other process hears of it, it is
 * in none of this node's desks, metrics or journals, and it is erased before and after.
 */
import http from 'node:http'
import { Identifier } from '../http/identity.ts'
import { HttpServer, type ServerOptions } from '../http/server.ts'
import { tokenSigner } from '../http/sign-token.ts'
import { systemClock } from '../runtime/clock.ts'
import { createLogger } from '../runtime/logger.ts'
import { Metrics } from '../runtime/metrics.ts'
import { systemRandom } from '../runtime/random.ts'
import { practiceSaleId } from '../stock/core/practice.ts'
import type { SaleDefinition } from '../stock/core/words.ts'
import type { StockPort } from '../stock/port.ts'
import { NodeMetrics } from './node-metrics.ts'
import { buyRoute } from './routes/buy.ts'
import { type DeskSettings, SaleDesk } from './sale-desk.ts'

/** Practice ends after so many purchases, or so long. */
interface Extent {
  readonly purchases: number
  readonly ms: number
  /** At a time, so that batches of more than one are practised as well. */
  readonly buyers: number
}

/** A start must not wait long for practice on a slow machine. */
const START: Extent = { purchases: 500, ms: 500, buyers: 4 }
/** One at a time: other sales may be selling, and every node rehearses at the same moment. */
const RUN_THROUGH: Extent = { purchases: 100, ms: 500, buyers: 1 }

/** An operator waits for it. */
const BY_HAND: Extent = { purchases: 30, ms: 60, buyers: 1 }

const FARE = 'seat'
const STOCK = 100_000
const TOKEN_MS = 60_000

export interface RehearsalParts {
  readonly port: StockPort
  readonly desk: DeskSettings
  readonly server: ServerOptions
}

/** Before the ports open. Resolves with the number of practice purchases; never rejects: it is not needed for selling. */
export function rehearseStart(parts: RehearsalParts): Promise<number> {
  return rehearse(parts, START)
}

/** Before a sale opens, while others may be selling. As {@link rehearseStart}. */
export function rehearseOpening(parts: RehearsalParts): Promise<number> {
  return rehearse(parts, RUN_THROUGH)
}

/** Before a sale is opened by hand. As {@link rehearseStart}. */
export function rehearseByHand(parts: RehearsalParts): Promise<number> {
  return rehearse(parts, BY_HAND)
}

async function rehearse(parts: RehearsalParts, extent: Extent): Promise<number> {
  const { sales } = parts.port
  const { nodeId } = parts.desk
  try {
    // One that broke off, by the death of its process, has left its sale there.
    await sales.erasePractice(nodeId)
    const stage = await Stage.open(parts)
    try {
      await stage.play(extent)
    } finally {
      await stage.close()
      await sales.erasePractice(nodeId)
    }
    return stage.bought
  } catch (error) {
    parts.server.logger.debug({ err: error }, 'no practice')
    return 0
  }
}

class Stage {
  bought = 0
  readonly #server: HttpServer
  readonly #port: number
  readonly #desk: SaleDesk
  readonly #sign: (buyer: string, expiresAtMs: number) => string
  readonly #path: string
  readonly #agent = new http.Agent({ keepAlive: true })
  #buyers = 0

  private constructor(server: HttpServer, port: number, desk: SaleDesk, secret: string) {
    this.#server = server
    this.#port = port
    this.#desk = desk
    this.#sign = tokenSigner(secret, { issuer: null, audience: null })
    this.#path = `/api/sales/${desk.definition.id}/fares/${FARE}/orders`
  }

  static async open({ port: stock, desk: settings, server: options }: RehearsalParts): Promise<Stage> {
    const definition = definitionFor(settings.nodeId)
    const { version } = await stock.sales.create(definition, 1)
    await stock.sales.change(definition.id, 'open', version)
    const desks = new Map<string, SaleDesk>()
    const metrics = new NodeMetrics(new Metrics(), () => desks.values())
    // With nobody to wait for: an acknowledger would ask the real ledger to keep practice orders.
    const { acknowledger: _, ...rest } = settings
    const alone = { ...rest, checkDurability: () => Promise.resolve(true) }
    const desk = new SaleDesk(definition, 1, stock, alone, systemClock, createLogger({ level: 'silent' }), metrics)
    desks.set(definition.id, desk)
    const secret = systemRandom.hex(32)
    const identity = { mode: 'token' as const, secret, publicKeyPems: [], issuer: null, audience: null }
    const identifier = new Identifier(identity, systemClock, systemRandom)
    const { buyDeadlineMs } = settings
    const parts = { desks, knowsSales: () => true, identifier, clock: systemClock, random: systemRandom, metrics }
    const server = new HttpServer(options, [buyRoute({ ...parts, buyDeadlineMs })])
    const port = await server.listen('127.0.0.1', 0)
    desk.start()
    return new Stage(server, port, desk, secret)
  }

  async play({ purchases, ms, buyers }: Extent): Promise<void> {
    const until = performance.now() + ms
    const shop = async (): Promise<void> => {
      for (let count = 0; count < purchases / buyers && performance.now() < until; count += 1) await this.#buy()
    }
    await Promise.all(Array.from({ length: buyers }, shop))
  }

  #buy(): Promise<void> {
    const body = '{"quantity":1}'
    const token = this.#sign(`practice-${(this.#buyers += 1)}`, systemClock.nowMs() + TOKEN_MS)
    const headers = { authorization: `Bearer ${token}`, 'content-length': body.length }
    const options = { host: '127.0.0.1', port: this.#port, path: this.#path, method: 'POST', headers }
    return new Promise((resolve, reject) => {
      const request = http.request({ ...options, agent: this.#agent }, (response) => {
        if (response.statusCode === 201) this.bought += 1
        response.resume().on('end', resolve).on('error', reject)
      })
      request.on('error', reject).end(body)
    })
  }

  async close(): Promise<void> {
    this.#desk.stop()
    this.#agent.destroy()
    await this.#server.close(100)
  }
}

function definitionFor(nodeId: string): SaleDefinition {
  return {
    id: practiceSaleId(nodeId),
    name: 'Practice',
    opensAtMs: null,
    closesAtMs: null,
    limitPerBuyer: 1,
    holdMs: TOKEN_MS,
    fares: [{ id: FARE, name: 'Seat', price: { amount: 1, currency: 'EUR' }, stock: STOCK }],
    orderIdSecret: '00'.repeat(32),
  }
}
