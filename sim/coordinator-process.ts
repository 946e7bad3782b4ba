/**
 * A coordinator and the recovering part of an orders process, as one simulated process: the real cycle, plan, lease,
 * rounds and recovery. Its files and the ledger are shared, and lose nothing.
 */
import { Cycle } from '../coordinator/daemon/cycle.ts'
import type { EraBook } from '../coordinator/daemon/eras.ts'
import { Leadership } from '../coordinator/daemon/leadership.ts'
import type { NodeReport } from '../http/node-report.ts'
import type { Watermark } from '../orders/ledger/ledger.ts'
import { MemoryLedger } from '../orders/ledger/memory-ledger.ts'
import { Marks } from '../orders/recovery/marks.ts'
import { Recovery } from '../orders/recovery/recovery.ts'
import { SaleRounds, type SaleRoundsParts } from '../orders/recovery/sale-rounds.ts'
import { compareVersions, type QuotaRules, type Version, VERSION_ZERO } from '../stock/core/words.ts'
import type { Log } from '../runtime/log.ts'
import { delay } from '../runtime/timers.ts'
import type { Edge } from './edge.ts'
import type { Host } from './host.ts'
import type { NodeProcess } from './node-process.ts'
import type { StoreCluster } from './store-cluster.ts'
import { StoreLink } from './store-link.ts'

const ROUND_MS = 200
const ASK_NODE_TIMEOUT_MS = 800
/** A reload of nginx, with what comes before it. */
const RELOAD_MS = 300

/** What the simulated operator does to a sale is done in the store alone: nothing is ever half done. */
const NO_ACTS: SaleRoundsParts['acts'] = {
  complete: () => Promise.resolve(),
  adopt: () => Promise.resolve(),
  restore: () => Promise.resolve(),
  change: () => Promise.reject(new Error('nobody here pauses a sale for having sold too much')),
}

/** The ledger, and what the world may know of it at any moment. */
class WatchedLedger extends MemoryLedger {
  /** The highest mark that the ledger was told; there is one sale. */
  mark: Version = VERSION_ZERO

  override raiseWatermark(saleId: string, watermark: Watermark): Promise<void> {
    if (compareVersions(watermark.version, this.mark) > 0) this.mark = watermark.version
    return super.raiseWatermark(saleId, watermark)
  }
}

/** What survives all processes: the coordinators' directory, and the ledger. */
export class Disk {
  readonly ledger: WatchedLedger
  lastEra = 0

  constructor(nowMs: () => number) {
    this.ledger = new WatchedLedger({ nowMs })
  }
}

export class CoordinatorProcess {
  readonly host: Host
  readonly link: StoreLink
  rounds: SaleRounds
  /** Sales that its recovery would not open by itself: an alarm that somebody saw. */
  readonly alarms = new Set<string>()
  readonly #disk: Disk
  readonly #nodes: readonly NodeProcess[]
  readonly #edge: Edge
  readonly #rules: QuotaRules
  readonly #log: Log

  constructor(
    host: Host,
    cluster: StoreCluster,
    disk: Disk,
    nodes: readonly NodeProcess[],
    edge: Edge,
    rules: QuotaRules,
    log: Log,
  ) {
    this.host = host
    this.link = new StoreLink(host, cluster)
    this.#disk = disk
    this.#nodes = nodes
    this.#edge = edge
    this.#rules = rules
    this.#log = log
    this.rounds = this.#begin()
    host.onStart = () => {
      this.link.connect()
      this.rounds = this.#begin()
    }
  }

  /** The operator's decision: the sale as the store has it counts. */
  async force(saleId: string): Promise<boolean> {
    const { port } = this.link
    try {
      const snapshot = await port.sales.read(saleId, this.#rules)
      if (snapshot === null || snapshot.certified) return false
      return (await this.rounds.recover(saleId)) !== null
    } catch {
      return false
    }
  }

  #begin(): SaleRounds {
    const { host, link } = this
    const { port } = link
    const monotonicMs = (): number => host.monotonicMs()
    const { ledger } = this.#disk
    const marks = new Marks(ledger)
    const log: Log = {
      info: (fields, message) => this.#log.info(fields, message),
      warn: (fields, message) => this.#log.warn(fields, message),
      error: (fields, message) => {
        const { saleId } = fields as { readonly saleId?: string }
        if (saleId !== undefined && message.includes('operator must decide')) this.alarms.add(saleId)
        this.#log.error(fields, message)
      },
    }
    const common = { port, ledger, marks, rules: this.#rules, log, monotonicMs, declaredDurable: false }
    const recovery = new Recovery({ ...common, askNode: (adminUrl) => this.#askNode(adminUrl) })
    const rounds = new SaleRounds({ ...common, acts: NO_ACTS, recovery })
    const cycle = new Cycle({
      port,
      rules: this.#rules,
      leadership: new Leadership(port.fleet, { id: host.id, adminUrl: `sim://${host.id}` }, monotonicMs),
      loadBalancer: {
        apply: async (topology) => {
          await delay(host.timers, RELOAD_MS)
          return this.#edge.apply(topology)
        },
        inForce: () => this.#edge.inForce(),
      },
      eras: this.#openEras(),
      log,
      monotonicMs,
    })
    for (const work of [() => cycle.tick(), () => rounds.round()]) {
      const round = (): void =>
        void work()
          .catch(() => {})
          .then(() => host.timers.after(ROUND_MS, round))
      host.timers.after(1 + host.kernel.random.below(ROUND_MS), round)
    }
    return rounds
  }

  #openEras(): EraBook {
    const disk = this.#disk
    return {
      last: () => Promise.resolve(disk.lastEra),
      allot: (above = 0) => {
        disk.lastEra = Math.max(disk.lastEra, above) + 1
        return Promise.resolve(disk.lastEra)
      },
    }
  }

  #askNode(adminUrl: string): Promise<NodeReport | null> {
    const node = this.#nodes.find((candidate) => candidate.adminUrl === adminUrl)
    const { kernel, timers } = this.host
    return new Promise((resolve) => {
      timers.after(ASK_NODE_TIMEOUT_MS, () => resolve(null))
      if (node === undefined || !node.host.isUp) {
        timers.after(1, () => resolve(null))
        return
      }
      const { life } = this.host
      kernel.schedule(node.host, 1, 'state', () => {
        const report = node.report() as NodeReport
        kernel.schedule(null, 1, 'state', () => {
          if (this.host.life === life) kernel.schedule(this.host, 0, 'state', () => resolve(report))
        })
      })
    })
  }
}
