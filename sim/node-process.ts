/** A selling node as a simulated process: the real node and desks, over a simulated connection, clock and timers. */
import type { Logger } from '../runtime/logger.ts'
import { PendingBuy, type BuyAnswer } from '../node/pending-buy.ts'
import type { AskKeep } from '../http/keep-orders.ts'
import { ledgerAcknowledger } from '../node/ledger-acknowledger.ts'
import { journalText, stateOf } from '../node/routes/admin.ts'
import { SellingNode } from '../node/selling-node.ts'
import { type QuotaRules, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import type { Host } from './host.ts'
import { SALE_ID } from './scenario.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

export interface NodeSettings {
  readonly rules: QuotaRules
  readonly batchMaxItems: number
  readonly batchMaxInFlight: number
  readonly lineMaxItems: number
  readonly buyDeadlineMs: number
  readonly heartbeatMs: number
  readonly weight: number
  /** With `ack: ledger`: the way from a node to an orders process. */
  readonly askKeep: ((host: Host) => AskKeep) | null
}

export interface BuyRequest {
  readonly saleId: string
  readonly fareId: string
  readonly buyer: string
  readonly key: string
  readonly quantity: number
  /** False when the key was made on the way. */
  readonly mayRepeat: boolean
}

/** What the buyer reads: a status, and a problem's code or an order. */
export interface BuyReply {
  readonly status: number
  readonly code: string | null
  readonly orderId: string | null
}

export class NodeProcess {
  readonly host: Host
  readonly link: StoreLink
  readonly adminUrl: string
  #node: SellingNode
  readonly #settings: NodeSettings
  readonly #logger: Logger

  constructor(host: Host, cluster: StoreCluster, settings: NodeSettings, logger: Logger) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.adminUrl = `sim://${host.id}/admin`
    this.#settings = settings
    this.#logger = logger
    this.#node = this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.#node = this.#begin()
    }
  }

  get isReady(): boolean {
    return this.host.isUp && this.#node.isReady
  }

  /** The newest that it has seen of the sale. */
  get seen(): Version {
    return this.#node.desks.get(SALE_ID)?.quota.seen ?? VERSION_ZERO
  }

  /** seq of its own last change, as it knows it. */
  get lastWriteSeq(): number {
    return this.#node.desks.get(SALE_ID)?.lastWriteSeq ?? 0
  }

  /** What its private port answers; as JSON, so that no state is shared. */
  report(): unknown {
    return JSON.parse(JSON.stringify(stateOf(this.host.id, this.#node)))
  }

  /** The same of what it has told. */
  journal(saleId: string): unknown {
    const desk = this.#node.desks.get(saleId)
    return desk === undefined ? null : JSON.parse(journalText(desk))
  }

  /** As the buy route does: first whether memory allows a "no", then the desk. Returns what a closed connection does. */
  buy(request: BuyRequest, respond: (reply: BuyReply) => void): () => void {
    const desk = this.#node.desks.get(request.saleId)
    if (desk === undefined) {
      respond(this.#node.knowsSales ? problem(404, 'no_such_sale') : problem(503, 'busy'))
      return NOTHING
    }
    const nowMs = this.host.monotonicMs()
    const { saleId, fareId, buyer, key, quantity, mayRepeat } = request
    const wish = { saleId, fareId, buyer, key, quantity, mayRepeat, orderIds: desk.orderIds }
    const refusal = desk.refusal(wish, nowMs)
    if (refusal !== null) {
      respond(problem(statusOf(refusal), refusal))
      return NOTHING
    }
    const pending = new PendingBuy(wish, nowMs, (answer) => respond(replyOf(answer)))
    desk.buy(pending)
    return () => desk.abandon(pending)
  }

  #begin(): SellingNode {
    const { host, link } = this
    const { heartbeatMs, weight, askKeep, ...desk } = this.#settings
    const { timers } = host
    const ledger = { fleet: link.port.fleet, log: this.#logger, timers }
    const node = new SellingNode({
      port: link.port,
      clock: host,
      logger: this.#logger,
      metrics: { storeErrors: { value: 0 }, batchSent: () => {}, batchAnswered: () => {} },
      heartbeatMs,
      desk: {
        ...desk,
        nodeId: host.id,
        timers,
        ...(askKeep === null ? {} : { acknowledger: ledgerAcknowledger({ ...ledger, askKeep: askKeep(host) }) }),
        checkDurability: async () => (await link.port.durability()).faults.length === 0,
      },
    })
    node.start({ id: host.id, url: `sim://${host.id}`, adminUrl: this.adminUrl, weight })
    return node
  }
}

const NOTHING = (): void => {}

function replyOf(answer: BuyAnswer): BuyReply {
  switch (answer.by) {
    case 'memory':
      return problem(statusOf(answer.refusal), answer.refusal)
    case 'trouble':
      return problem(503, answer.code)
    case 'store': {
      const { status, order } = answer.verdict
      if (order !== undefined) return { status: status === 'held' ? 201 : 200, code: null, orderId: order.id }
      return status === 'too_late' ? problem(503, 'outcome_unknown') : problem(statusOf(status), status)
    }
  }
}

function statusOf(code: string): number {
  if (code === 'key_reused' || code === 'bad_quantity') return 422
  if (code === 'unlawful') return 500
  return code === 'no_such_fare' ? 404 : 409
}

function problem(status: number, code: string): BuyReply {
  return { status, code, orderId: null }
}
